// Dropout with counted masks: the same bits as kernels/reference/philox.py.
//
// x (N, places, channels) -> y. Elements are numbered in logical order, channel * places + place, and four of them
// share the words of one counter. So a thread takes four places of one channel: where `places` is a multiple of 4 it
// counts once for them, otherwise twice. Neighbouring threads take neighbouring channels. An image has fewer than 2^32
// elements. Images are numbered from `first_image` on.

struct Words {
    uint32 a, b, c, d;
};

__device__ Words philox(Words counter, uint32 key_low, uint32 key_high) {
    for (int round = 0; round < 10; ++round) {
        unsigned long long product0 = counter.a * 0xD2511F53ull, product1 = counter.c * 0xCD9E8D57ull;
        counter = {
            (uint32)(product1 >> 32) ^ counter.b ^ key_low, (uint32)product1,
            (uint32)(product0 >> 32) ^ counter.d ^ key_high, (uint32)product0,
        };
        key_low += 0x9E3779B9u, key_high += 0xBB67AE85u;
    }
    return counter;
}

// threadIdx.x walks along the channels, and a block has blockDim.y groups of four places of one image, which takes
// `blocks` of them. What is dropped are words below `threshold`.
extern "C" __global__ void dropout(
    const real* x, real* y, int places, int channels, int blocks, uint32 first_image, uint32 threshold, real scale,
    uint32 call_low, uint32 call_high, uint32 seed_low, uint32 seed_high
) {
    uint32 image = blockIdx.x / blocks;
    int first = 4 * (blockIdx.x % blocks * blockDim.y + threadIdx.y);
    int64 begin = (int64)image * places * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        Words words;
        for (int k = 0; k < 4 && first + k < places; ++k) {
            uint32 element = (uint32)c * places + first + k, place = element % 4;
            if (k == 0 || place == 0) {
                words = philox({element / 4, first_image + image, call_low, call_high}, seed_low, seed_high);
            }
            uint32 word = place == 0 ? words.a : place == 1 ? words.b : place == 2 ? words.c : words.d;
            int64 at = begin + (int64)(first + k) * channels + c;
            y[at] = word >= threshold ? x[at] * scale : 0;
        }
    }
}
