// The softmaxes and their gradients: one warp a line. A line is `length` elements, `stride` apart, of a C-contiguous
// array: the axis that is summed over may be any. The numerics are those of kernels/reference/activation.py.
//
// The second pass over a line reads what the same thread read or wrote in the first, so no thread waits for another
// except in the sums.

// Where this warp's line begins, or -1 if there are no more. threadIdx.x is the lane.
__device__ int64 line_begin(int64 lines, int length, int64 stride) {
    int64 line = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    return line < lines ? line / stride * length * stride + line % stride : -1;
}

__device__ real largest(const real* line, int length, int64 stride) {
    real most = -infinity();
    for (int i = threadIdx.x; i < length; i += 32) {
        real v = line[i * stride];
        most = v > most || v != v ? v : most;  // NaN wins
    }
    return warp_max(most);
}

extern "C" __global__ void softmax(const real* x, real* y, int64 lines, int length, int64 stride) {
    int64 begin = line_begin(lines, length, stride);
    if (begin < 0) return;
    x += begin, y += begin;
    real most = largest(x, length, stride), total = 0;
    for (int i = threadIdx.x; i < length; i += 32) {
        real e = exp(x[i * stride] - most);
        y[i * stride] = e;
        total += e;
    }
    total = warp_sum(total);
    for (int i = threadIdx.x; i < length; i += 32) y[i * stride] /= total;
}

extern "C" __global__ void softmax_backward(
    const real* grad, const real* output, real* x_grad, int64 lines, int length, int64 stride
) {
    int64 begin = line_begin(lines, length, stride);
    if (begin < 0) return;
    grad += begin, output += begin, x_grad += begin;
    real total = 0;
    for (int i = threadIdx.x; i < length; i += 32) total += grad[i * stride] * output[i * stride];
    total = warp_sum(total);
    for (int i = threadIdx.x; i < length; i += 32) {
        x_grad[i * stride] = output[i * stride] * (grad[i * stride] - total);
    }
}

extern "C" __global__ void log_softmax(const real* x, real* y, int64 lines, int length, int64 stride) {
    int64 begin = line_begin(lines, length, stride);
    if (begin < 0) return;
    x += begin, y += begin;
    real most = largest(x, length, stride), total = 0;
    for (int i = threadIdx.x; i < length; i += 32) total += exp(x[i * stride] - most);
    real log_total = log(warp_sum(total));
    for (int i = threadIdx.x; i < length; i += 32) y[i * stride] = x[i * stride] - most - log_total;
}

extern "C" __global__ void log_softmax_backward(
    const real* grad, const real* output, real* x_grad, int64 lines, int length, int64 stride
) {
    int64 begin = line_begin(lines, length, stride);
    if (begin < 0) return;
    grad += begin, output += begin, x_grad += begin;
    real total = 0;
    for (int i = threadIdx.x; i < length; i += 32) total += grad[i * stride];
    total = warp_sum(total);
    for (int i = threadIdx.x; i < length; i += 32) {
        x_grad[i * stride] = grad[i * stride] - exp(output[i * stride]) * total;
    }
}
