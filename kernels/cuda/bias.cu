// Bias and ReLU in one pass over a matrix product's result, in place: y (rows, width) and bias (width,), or none.
//
// threadIdx.x walks along a row, and a block has blockDim.y rows.

extern "C" __global__ void bias(real* y, const real* values, int64 rows, int width, int relu) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        real v = y[row * width + i] + (values ? values[i] : 0);
        y[row * width + i] = relu ? positive(v) : v;
    }
}

// `width` counts packs here.
extern "C" __global__ void bias_packs(pack* y, const pack* values, int64 rows, int width, int relu) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        pack v = y[row * width + i] + (values ? values[i] : pack());
        if (relu) {
            for (int k = 0; k < PACK; ++k) v.at[k] = positive(v.at[k]);
        }
        y[row * width + i] = v;
    }
}
