// Local response normalisation of x (rows, channels): each thread adds up the window of its channel, whose numbers its
// neighbours need too and so are in the cache. threadIdx.x walks along a row, and a block has blockDim.y rows.

// k + share * (sum of squares of the channels from c - before to c + after); `share` is alpha / size.
__device__ real response_scale(const real* row, int c, int channels, int before, int after, real share, real k) {
    int first = c > before ? c - before : 0, last = c < channels - after ? c + after : channels - 1;
    real sum = 0;
    for (int d = first; d <= last; ++d) sum += row[d] * row[d];
    return k + share * sum;
}

extern "C" __global__ void local_response_norm(
    const real* x, real* y, int64 rows, int channels, int before, int after, real share, real beta, real k
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += row * channels, y += row * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        y[c] = x[c] * pow(response_scale(x, c, channels, before, after, share, k), -beta);
    }
}

// What each output sends back through its scale: grad and x -> owed, all (rows, channels). It is kept in memory, since
// every channel of the window wants it, and its power costs more than reading it.
extern "C" __global__ void owed_through_scale(
    const real* grad, const real* x, real* owed, int64 rows, int channels, int before, int after, real share,
    real beta, real k
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    grad += row * channels, x += row * channels, owed += row * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        real scale = response_scale(x, c, channels, before, after, share, k);
        owed[c] = grad[c] * x[c] * pow(scale, -beta - 1);
    }
}

// The windows that channel c lies in are those of the channels from c - after to c + before.
extern "C" __global__ void local_response_norm_backward(
    const real* grad, const real* x, const real* owed, real* x_grad, int64 rows, int channels, int before, int after,
    real share, real beta, real k
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    grad += row * channels, x += row * channels, owed += row * channels, x_grad += row * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        int first = c > after ? c - after : 0, last = c < channels - before ? c + before : channels - 1;
        real sum = 0;
        for (int d = first; d <= last; ++d) sum += owed[d];
        real scale = response_scale(x, c, channels, before, after, share, k);
        x_grad[c] = grad[c] * pow(scale, -beta) - 2 * beta * share * x[c] * sum;
    }
}
