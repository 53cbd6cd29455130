// Average pooling and its backward (kernels/reference/pool.py): (N, H, W, channels) and (N, OH, OW, channels).
//
// Both are gathers: one block for each row of outputs, or on the way back of inputs. Windows have no dilation.

// What windows are divided by: `fixed` if there is such a number, otherwise how many of a window's places lie in rows
// [top, bottom) and columns [left, right). kernels/cuda/pool.py fills it in the same order.
struct Divisor {
    int top, bottom, left, right, fixed, is_fixed;
};

// How many of `length` places from `start` on lie in [low, high).
__device__ inline int overlap(int start, int length, int low, int high) {
    int stop = start + length < high ? start + length : high;
    return stop - (start > low ? start : low);
}

__device__ inline real divisor_of(const Divisor& divisor, const Window& win, int oh, int ow) {
    if (divisor.is_fixed) return divisor.fixed;
    int rows = overlap(oh * win.sh - win.top, win.kh, divisor.top, divisor.bottom);
    return rows * overlap(ow * win.sw - win.left, win.kw, divisor.left, divisor.right);
}

template <typename T>
__device__ void means(const T* x, T* y, const Window& win, const Divisor& divisor, int channels) {
    int n = blockIdx.x / win.oh, oh = blockIdx.x % win.oh;
    const T* image = x + (int64)n * win.h * win.w * channels;
    T* row = y + (int64)blockIdx.x * win.ow * channels;
    for (int i = threadIdx.x; i < win.ow * channels; i += blockDim.x) {
        int ow = i / channels, c = i % channels;
        T sum = T();
        for (int kh = 0; kh < win.kh; ++kh) {
            int h = oh * win.sh - win.top + kh;
            if (h < 0 || h >= win.h) continue;
            const T* pixels = image + (int64)h * win.w * channels + c;
            for (int kw = 0; kw < win.kw; ++kw) {
                int w = ow * win.sw - win.left + kw;
                if (w >= 0 && w < win.w) sum = sum + pixels[w * channels];
            }
        }
        row[i] = sum / divisor_of(divisor, win, oh, ow);
    }
}

extern "C" __global__ void avg_pool(const real* x, real* y, Window win, Divisor divisor, int channels) {
    means(x, y, win, divisor, channels);
}

// `channels` counts packs here.
extern "C" __global__ void avg_pool_packs(const pack* x, pack* y, Window win, Divisor divisor, int channels) {
    means(x, y, win, divisor, channels);
}

// Each input adds up its shares of the gradients of all windows that see it, in the order of their taps.
template <typename T>
__device__ void return_shares(const T* grad, T* x_grad, const Window& win, const Divisor& divisor, int channels) {
    int n = blockIdx.x / win.h, h = blockIdx.x % win.h;
    const T* image = grad + (int64)n * win.oh * win.ow * channels;
    T* row = x_grad + (int64)blockIdx.x * win.w * channels;
    Outputs rows = outputs_over(h, win.top, win.kh, win.sh, 1, win.oh);
    for (int i = threadIdx.x; i < win.w * channels; i += blockDim.x) {
        int w = i / channels, c = i % channels;
        Outputs cols = outputs_over(w, win.left, win.kw, win.sw, 1, win.ow);
        T sum = T();
        for (int oh = rows.last; oh >= rows.first; --oh) {
            const T* places = image + (int64)oh * win.ow * channels + c;
            for (int ow = cols.last; ow >= cols.first; --ow) {
                sum = sum + places[ow * channels] / divisor_of(divisor, win, oh, ow);
            }
        }
        row[i] = sum;
    }
}

extern "C" __global__ void avg_pool_backward(
    const real* grad, real* x_grad, Window win, Divisor divisor, int channels
) {
    return_shares(grad, x_grad, win, divisor, channels);
}

// `channels` counts packs here.
extern "C" __global__ void avg_pool_backward_packs(
    const pack* grad, pack* x_grad, Window win, Divisor divisor, int channels
) {
    return_shares(grad, x_grad, win, divisor, channels);
}
