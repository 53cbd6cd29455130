// Adaptive average pooling and its backward (kernels/reference/pool.py): (N, H, W, channels) and (N, OH, OW, channels).

// When `size` places are divided among `parts` windows, which may overlap, window `index` has those in [begin, end).
// The same formula says which windows see a place: part_of(place, parts, size).
struct Part {
    int begin, end;
};

__device__ inline Part part_of(int index, int size, int parts) {
    return {(int)((int64)index * size / parts), (int)(((int64)(index + 1) * size + parts - 1) / parts)};
}

// The grid is (places of the output, tiles of channels): a window may be the whole image, too much for one thread.
extern "C" __global__ void adaptive_avg_pool(const real* x, real* y, int h, int w, int oh, int ow, int channels) {
    int n = blockIdx.x / (oh * ow), place = blockIdx.x % (oh * ow), c = blockIdx.y * SUM_TILE + threadIdx.x;
    Part rows = part_of(place / ow, h, oh), cols = part_of(place % ow, w, ow);
    int width = cols.end - cols.begin, area = (rows.end - rows.begin) * width;
    const real* corner = x + (((int64)n * h + rows.begin) * w + cols.begin) * channels + c;
    real sum = 0;
    if (c < channels) {
        for (int i = threadIdx.y; i < area; i += SUM_LANES) {
            sum += corner[((int64)(i / width) * w + i % width) * channels];
        }
    }
    sum = over_lanes(sum);
    if (c < channels && threadIdx.y == 0) y[(int64)blockIdx.x * channels + c] = sum / area;
}

// Each input adds up its shares of the gradients of all windows that see it. One block for each row of inputs.
template <typename T>
__device__ void return_shares(const T* grad, T* x_grad, int h, int w, int oh, int ow, int channels) {
    const T* image = grad + (int64)(blockIdx.x / h) * oh * ow * channels;
    T* row = x_grad + (int64)blockIdx.x * w * channels;
    Part rows = part_of(blockIdx.x % h, oh, h);
    for (int i = threadIdx.x; i < w * channels; i += blockDim.x) {
        int c = i % channels;
        Part cols = part_of(i / channels, ow, w);
        T sum = T();
        for (int a = rows.begin; a < rows.end; ++a) {
            Part height = part_of(a, h, oh);
            for (int b = cols.begin; b < cols.end; ++b) {
                Part width = part_of(b, w, ow);
                real area = (height.end - height.begin) * (width.end - width.begin);
                sum = sum + image[((int64)a * ow + b) * channels + c] / area;
            }
        }
        row[i] = sum;
    }
}

extern "C" __global__ void adaptive_avg_pool_backward(
    const real* grad, real* x_grad, int h, int w, int oh, int ow, int channels
) {
    return_shares(grad, x_grad, h, w, oh, ow, channels);
}

// `channels` counts packs here.
extern "C" __global__ void adaptive_avg_pool_backward_packs(
    const pack* grad, pack* x_grad, int h, int w, int oh, int ow, int channels
) {
    return_shares(grad, x_grad, h, w, oh, ow, channels);
}
