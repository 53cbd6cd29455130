// Max-pooling and its backward (kernels/reference/pool.py): (N, H, W, channels) and (N, OH, OW, channels).
//
// Both are gathers: one block for each row of outputs, or on the way back of inputs, and a thread writes what it alone
// has computed. Winners are the taps' numbers, of type W.

// `channels` counts groups. `winner` may be null: nobody wants to know.
template <typename W, int count>
__device__ void maxima(
    const Group<real, count>* x, Group<real, count>* y, Group<W, count>* winner, const Window& win, int channels
) {
    int n = blockIdx.x / win.oh, oh = blockIdx.x % win.oh;
    const Group<real, count>* image = x + (int64)n * win.h * win.w * channels;
    int64 row = (int64)blockIdx.x * win.ow * channels;
    for (int i = threadIdx.x; i < win.ow * channels; i += blockDim.x) {
        int ow = i / channels, c = i % channels;
        Group<real, count> best;
        Group<W, count> which = {};
        for (int k = 0; k < count; ++k) best.at[k] = -infinity();
        bool first = true;
        for (int kh = 0; kh < win.kh; ++kh) {
            int h = oh * win.sh - win.top + kh * win.dh;
            if (h < 0 || h >= win.h) continue;
            const Group<real, count>* pixels = image + (int64)h * win.w * channels + c;
            for (int kw = 0; kw < win.kw; ++kw) {
                int w = ow * win.sw - win.left + kw * win.dw;
                if (w < 0 || w >= win.w) continue;
                Group<real, count> value = pixels[w * channels];
                for (int k = 0; k < count; ++k) {
                    real v = value.at[k];
                    // The first of equal maxima wins, also where all are -inf; of several NaN the last, as in PyTorch.
                    if (first || v > best.at[k] || v != v) {
                        best.at[k] = v;
                        which.at[k] = kh * win.kw + kw;
                    }
                }
                first = false;
            }
        }
        y[row + i] = best;
        if (winner) winner[row + i] = which;
    }
}

extern "C" __global__ void max_pool(
    const single* x, single* y, Group<uint8, 1>* winner, Window win, int channels
) {
    maxima(x, y, winner, win, channels);
}

// `channels` counts packs here.
extern "C" __global__ void max_pool_packs(
    const pack* x, pack* y, Group<uint8, PACK>* winner, Window win, int channels
) {
    maxima(x, y, winner, win, channels);
}

// For windows of more taps than a byte can number.
extern "C" __global__ void max_pool_wide(
    const single* x, single* y, Group<int, 1>* winner, Window win, int channels
) {
    maxima(x, y, winner, win, channels);
}

// Each input adds up the gradients of the windows that it has won, in the order of their taps.
template <typename W, int count>
__device__ void return_gradients(
    const Group<real, count>* grad, const Group<W, count>* winner, Group<real, count>* x_grad, const Window& win,
    int channels
) {
    int n = blockIdx.x / win.h, h = blockIdx.x % win.h;
    int64 image = (int64)n * win.oh * win.ow * channels;
    Outputs rows = outputs_over(h, win.top, win.kh, win.sh, win.dh, win.oh);
    Group<real, count>* row = x_grad + (int64)blockIdx.x * win.w * channels;
    for (int i = threadIdx.x; i < win.w * channels; i += blockDim.x) {
        int w = i / channels, c = i % channels;
        Outputs cols = outputs_over(w, win.left, win.kw, win.sw, win.dw, win.ow);
        Group<real, count> sum = {};
        for (int oh = rows.last; oh >= rows.first; --oh) {
            int kh = tap_at(h + win.top - oh * win.sh, win.dh);
            if (kh < 0) continue;
            int64 places = image + (int64)oh * win.ow * channels + c;
            for (int ow = cols.last; ow >= cols.first; --ow) {
                int kw = tap_at(w + win.left - ow * win.sw, win.dw);
                if (kw < 0) continue;
                Group<W, count> which = winner[places + ow * channels];
                Group<real, count> g = grad[places + ow * channels];
                for (int k = 0; k < count; ++k) sum.at[k] += which.at[k] == kh * win.kw + kw ? g.at[k] : 0;
            }
        }
        row[i] = sum;
    }
}

extern "C" __global__ void max_pool_backward(
    const single* grad, const Group<uint8, 1>* winner, single* x_grad, Window win, int channels
) {
    return_gradients(grad, winner, x_grad, win, channels);
}

// `channels` counts packs here.
extern "C" __global__ void max_pool_backward_packs(
    const pack* grad, const Group<uint8, PACK>* winner, pack* x_grad, Window win, int channels
) {
    return_gradients(grad, winner, x_grad, win, channels);
}

extern "C" __global__ void max_pool_backward_wide(
    const single* grad, const Group<int, 1>* winner, single* x_grad, Window win, int channels
) {
    return_gradients(grad, winner, x_grad, win, channels);
}
