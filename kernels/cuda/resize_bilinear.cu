// Bilinear resizing, uint8 (N, H, W, channels) -> float (N, OH, OW, channels). One block for each row of outputs.

// Along one axis: the two inputs that an output mixes, and their weights. Its position is computed in double by the
// same steps as in kernels/reference/resize.py, and so comes out as the same bits.
struct Mix {
    int low, high;
    double low_weight, high_weight;
};

__device__ inline Mix mix_of(int output, int outputs, int inputs) {
    double position = (output + 0.5) * inputs / outputs - 0.5;
    if (position < 0) position = 0;
    int low = (int)position;
    if (low + 1 >= inputs) return {low, low, 1, 0};
    return {low, low + 1, 1 - (position - low), position - low};
}

extern "C" __global__ void resize_bilinear(
    const uint8* images, float* out, int h, int w, int oh, int ow, int channels, double scale, float shift
) {
    int n = blockIdx.x / oh;
    Mix rows = mix_of(blockIdx.x % oh, oh, h);
    float top_weight = (float)(rows.low_weight * scale), bottom_weight = (float)(rows.high_weight * scale);
    const uint8* top = images + ((int64)n * h + rows.low) * w * channels;
    const uint8* bottom = images + ((int64)n * h + rows.high) * w * channels;
    float* target = out + (int64)blockIdx.x * ow * channels;
    for (int i = threadIdx.x; i < ow * channels; i += blockDim.x) {
        Mix columns = mix_of(i / channels, ow, w);
        int left = columns.low * channels + i % channels, right = columns.high * channels + i % channels;
        float left_mix = top_weight * top[left] + bottom_weight * bottom[left];
        float right_mix = top_weight * top[right] + bottom_weight * bottom[right];
        target[i] = (float)columns.low_weight * left_mix + (float)columns.high_weight * right_mix + shift;
    }
}
