// ReLU and its gradient, element by element over memory that the launcher has made flat.

template <typename T>
__device__ void rectify(const T* x, T* y, int64 count) {
    int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    T v = x[i];
    for (real& number : v.at) number = positive(number);
    y[i] = v;
}

// The gradient passes where the output is not 0, and at NaN.
template <typename T>
__device__ void pass(const T* grad, const T* output, T* x_grad, int64 count) {
    int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    T g = grad[i], y = output[i];
    for (int k = 0; k < sizeof(T) / sizeof(real); ++k) {
        if (y.at[k] <= 0) g.at[k] = 0;
    }
    x_grad[i] = g;
}

extern "C" __global__ void relu(const single* x, single* y, int64 count) {
    rectify(x, y, count);
}

extern "C" __global__ void relu_backward(const single* grad, const single* output, single* x_grad, int64 count) {
    pass(grad, output, x_grad, count);
}

// `count` counts packs here.
extern "C" __global__ void relu_packs(const pack* x, pack* y, int64 count) {
    rectify(x, y, count);
}

extern "C" __global__ void relu_backward_packs(const pack* grad, const pack* output, pack* x_grad, int64 count) {
    pass(grad, output, x_grad, count);
}
