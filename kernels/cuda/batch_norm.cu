// Batch normalisation of x (rows, channels), channels-last. Sums over the rows are cut into parts as in channel_sum.cu.

// --- statistics

// x -> partial (parts, channels): sums of (x - mean)^2; the grid is (tiles of channels, parts).
extern "C" __global__ void square_parts(
    const real* x, const real* mean, real* partial, int64 rows, int channels, int parts
) {
    int c = blockIdx.x * SUM_TILE + threadIdx.x;
    int64 end = part_begin(rows, blockIdx.y + 1, parts);
    real sum = 0;
    if (c < channels) {
        real centre = mean[c];
        for (int64 row = part_begin(rows, blockIdx.y, parts) + threadIdx.y; row < end; row += SUM_LANES) {
            real v = x[row * channels + c] - centre;
            sum += v * v;
        }
    }
    sum = over_lanes(sum);
    if (c < channels && threadIdx.y == 0) partial[(int64)blockIdx.y * channels + c] = sum;
}

// partial (parts, channels) -> (channels,): the parts' sum divided by the number of rows.
extern "C" __global__ void mean_of_parts(const real* partial, real* mean, int channels, int parts, real rows) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    real sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[(int64)part * channels + c];
    mean[c] = sum / rows;
}

// What becomes of x. Backward computes it again, to see where ReLU blocked the gradient: rounded once by our word, and
// not where the compiler sees fit, it is the same bits.
__device__ real affine(real x, real centre, real scale, real shift) {
    return fma(x - centre, scale, shift);
}

// grad and x -> partial (2, parts, channels): sums of the gradients of weight and bias; the grid is (tiles of channels,
// parts).
extern "C" __global__ void gradient_parts(
    const real* grad, const real* x, const real* mean, const real* variance, const real* weight, const real* bias,
    real eps, int relu, real* partial, int64 rows, int channels, int parts
) {
    int c = blockIdx.x * SUM_TILE + threadIdx.x;
    int64 end = part_begin(rows, blockIdx.y + 1, parts);
    real weight_sum = 0, bias_sum = 0;
    if (c < channels) {
        real centre = mean[c], inverse_std = 1 / sqrt(variance[c] + eps);
        real scale = weight ? inverse_std * weight[c] : inverse_std, shift = bias ? bias[c] : 0;
        for (int64 row = part_begin(rows, blockIdx.y, parts) + threadIdx.y; row < end; row += SUM_LANES) {
            real g = grad[row * channels + c], v = x[row * channels + c];
            if (relu && affine(v, centre, scale, shift) <= 0) g = 0;
            weight_sum += g * ((v - centre) * inverse_std);
            bias_sum += g;
        }
    }
    weight_sum = over_lanes(weight_sum);
    __syncthreads();  // over_lanes keeps both sums in the same place
    bias_sum = over_lanes(bias_sum);
    if (c < channels && threadIdx.y == 0) {
        partial[(int64)blockIdx.y * channels + c] = weight_sum;
        partial[((int64)parts + blockIdx.y) * channels + c] = bias_sum;
    }
}

// --- number by number: a thread computes what its channels have in common once, for several rows

constexpr int ROWS = 8;

// The first of a thread's rows; the others are blockDim.y apart.
__device__ int64 first_row() {
    return (int64)blockIdx.x * blockDim.y * ROWS + threadIdx.y;
}

template <typename T>
__device__ void normalise(
    const T* x, const T* mean, const T* variance, const T* weight, const T* bias, T* y, int64 rows, int width,
    real eps, int relu
) {
    constexpr int N = sizeof(T) / sizeof(real);
    int c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= width) return;
    T centre = mean[c], scale = variance[c], shift = bias ? bias[c] : T();
    for (int k = 0; k < N; ++k) {
        scale.at[k] = 1 / sqrt(scale.at[k] + eps);
        if (weight) scale.at[k] *= weight[c].at[k];
    }
    for (int i = 0; i < ROWS; ++i) {
        int64 row = first_row() + i * blockDim.y;
        if (row >= rows) return;
        T v = x[row * width + c];
        for (int k = 0; k < N; ++k) {
            v.at[k] = affine(v.at[k], centre.at[k], scale.at[k], shift.at[k]);
            if (relu) v.at[k] = positive(v.at[k]);
        }
        y[row * width + c] = v;
    }
}

template <typename T>
__device__ void normalise_backward(
    const T* grad, const T* x, const T* mean, const T* variance, const T* weight, const T* bias, const T* weight_grad,
    const T* bias_grad, T* x_grad, int64 rows, int width, real eps, int relu, int training
) {
    constexpr int N = sizeof(T) / sizeof(real);
    int c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= width) return;
    T centre = mean[c], inverse_std = variance[c], shift = bias ? bias[c] : T(), scale;
    T through_variance = weight_grad[c], through_mean = bias_grad[c];
    for (int k = 0; k < N; ++k) {
        inverse_std.at[k] = 1 / sqrt(inverse_std.at[k] + eps);
        scale.at[k] = weight ? inverse_std.at[k] * weight[c].at[k] : inverse_std.at[k];
        through_variance.at[k] /= rows, through_mean.at[k] /= rows;
    }
    for (int i = 0; i < ROWS; ++i) {
        int64 row = first_row() + i * blockDim.y;
        if (row >= rows) return;
        T g = grad[row * width + c];
        if (relu || training) {
            T v = x[row * width + c];
            for (int k = 0; k < N; ++k) {
                if (relu && affine(v.at[k], centre.at[k], scale.at[k], shift.at[k]) <= 0) g.at[k] = 0;
                real normalised = (v.at[k] - centre.at[k]) * inverse_std.at[k];
                if (training) g.at[k] = g.at[k] - through_mean.at[k] - normalised * through_variance.at[k];
            }
        }
        for (int k = 0; k < N; ++k) g.at[k] *= scale.at[k];
        x_grad[row * width + c] = g;
    }
}

extern "C" __global__ void batch_norm(
    const single* x, const single* mean, const single* variance, const single* weight, const single* bias, single* y,
    int64 rows, int width, real eps, int relu
) {
    normalise(x, mean, variance, weight, bias, y, rows, width, eps, relu);
}

extern "C" __global__ void batch_norm_backward(
    const single* grad, const single* x, const single* mean, const single* variance, const single* weight,
    const single* bias, const single* weight_grad, const single* bias_grad, single* x_grad, int64 rows, int width,
    real eps, int relu, int training
) {
    normalise_backward(
        grad, x, mean, variance, weight, bias, weight_grad, bias_grad, x_grad, rows, width, eps, relu, training
    );
}

// `width` counts packs here.
extern "C" __global__ void batch_norm_packs(
    const pack* x, const pack* mean, const pack* variance, const pack* weight, const pack* bias, pack* y, int64 rows,
    int width, real eps, int relu
) {
    normalise(x, mean, variance, weight, bias, y, rows, width, eps, relu);
}

extern "C" __global__ void batch_norm_backward_packs(
    const pack* grad, const pack* x, const pack* mean, const pack* variance, const pack* weight, const pack* bias,
    const pack* weight_grad, const pack* bias_grad, pack* x_grad, int64 rows, int width, real eps, int relu,
    int training
) {
    normalise_backward(
        grad, x, mean, variance, weight, bias, weight_grad, bias_grad, x_grad, rows, width, eps, relu, training
    );
}
