// Bilinear resizing, uint8 (N, H, W, channels) -> float (N, OH, OW, channels). One block for each row of outputs.

// What is seen of an image: a crop, mirrored or not, and of the result all but a hole. A row of kernels/views.py.
struct View {
    int top, left, height, width, mirrored, hole_top, hole_left, hole_height, hole_width;
};

// Along one axis: the two inputs that an output mixes, and their weights. Its position is computed in double by the
// same steps as in kernels/reference/resize.py, and so comes out as the same bits.
struct Mix {
    int low, high;
    double low_weight, high_weight;
};

// The crop has `length` inputs from `start` on. Those beyond the image are 0, and so are their weights.
__device__ inline Mix mix_of(int output, int outputs, int start, int length, int inputs) {
    double position = (output + 0.5) * length / outputs - 0.5;
    if (position < 0) position = 0;
    int low = (int)position;
    Mix mix = {start + low, start + low + 1, 1 - (position - low), position - low};
    if (low + 1 >= length) mix = {start + low, start + low, 1, 0};
    if (mix.low < 0 || mix.low >= inputs) mix.low = 0, mix.low_weight = 0;
    if (mix.high < 0 || mix.high >= inputs) mix.high = 0, mix.high_weight = 0;
    return mix;
}

// Whether an output lies among the `length` ones from `start` on.
__device__ inline bool within(int output, int start, int length) {
    return output >= start && output < start + length;
}

// Without views all images are seen whole.
extern "C" __global__ void resize_bilinear(
    const uint8* images, const int* views, float* out, int h, int w, int oh, int ow, int channels, double scale,
    float shift
) {
    int n = blockIdx.x / oh, row = blockIdx.x % oh;
    View view = {0, 0, h, w, 0, 0, 0, 0, 0};
    if (views) view = ((const View*)views)[n];
    Mix rows = mix_of(row, oh, view.top, view.height, h);
    float top_weight = (float)(rows.low_weight * scale), bottom_weight = (float)(rows.high_weight * scale);
    const uint8* top = images + ((int64)n * h + rows.low) * w * channels;
    const uint8* bottom = images + ((int64)n * h + rows.high) * w * channels;
    float* target = out + (int64)blockIdx.x * ow * channels;
    bool beside_hole = within(row, view.hole_top, view.hole_height);
    for (int i = threadIdx.x; i < ow * channels; i += blockDim.x) {
        int column = i / channels;
        Mix columns = mix_of(view.mirrored ? ow - 1 - column : column, ow, view.left, view.width, w);
        int left = columns.low * channels + i % channels, right = columns.high * channels + i % channels;
        float left_mix = top_weight * top[left] + bottom_weight * bottom[left];
        float right_mix = top_weight * top[right] + bottom_weight * bottom[right];
        float mixed = (float)columns.low_weight * left_mix + (float)columns.high_weight * right_mix + shift;
        target[i] = beside_hole && within(column, view.hole_left, view.hole_width) ? 0 : mixed;
    }
}
