// col2im: the transpose of im2col, as a gather.
//
// Columns (N, OH, OW, kh, kw, share) -> (N, H, W, channels), where it fills `share` channels from `first` on. One block
// for each row of inputs. Each thread adds up what all windows owe one input, in the order of their taps: nobody else
// writes there, so no addition has to be atomic, and the result is the same bits on every run.

template <typename T>
__device__ void fold(const T* columns, T* x, const Window& win, int channels, int first, int share, int add) {
    int n = blockIdx.x / win.h, h = blockIdx.x % win.h;
    const T* windows = columns + (int64)n * win.oh * win.ow * win.kh * win.kw * share;
    T* row = x + (int64)blockIdx.x * win.w * channels + first;
    Outputs rows = outputs_over(h, win.top, win.kh, win.sh, win.dh, win.oh);
    for (int i = threadIdx.x; i < win.w * share; i += blockDim.x) {
        int w = i / share, c = i % share;
        Outputs cols = outputs_over(w, win.left, win.kw, win.sw, win.dw, win.ow);
        T sum = T();
        for (int oh = rows.last; oh >= rows.first; --oh) {
            int kh = tap_at(h + win.top - oh * win.sh, win.dh);
            if (kh < 0) continue;
            for (int ow = cols.last; ow >= cols.first; --ow) {
                int kw = tap_at(w + win.left - ow * win.sw, win.dw);
                if (kw < 0) continue;
                int64 tap = ((int64)oh * win.ow + ow) * win.kh * win.kw + kh * win.kw + kw;
                sum = sum + windows[tap * share + c];
            }
        }
        T* target = row + (int64)w * channels + c;
        *target = add ? *target + sum : sum;
    }
}

extern "C" __global__ void col2im(
    const real* columns, real* x, Window win, int channels, int first, int share, int add
) {
    fold(columns, x, win, channels, first, share, add);
}

// `channels`, `first` and `share` count packs here.
extern "C" __global__ void col2im_packs(
    const pack* columns, pack* x, Window win, int channels, int first, int share, int add
) {
    fold(columns, x, win, channels, first, share, add);
}
