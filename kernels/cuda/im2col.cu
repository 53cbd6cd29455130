// im2col: the window of every output pixel as one row, tap by tap (kernels/reference/conv.py).
//
// (N, H, W, channels), of which `share` from `first` on are taken -> columns (N, OH, OW, kh, kw, share). Padding reads
// as zero. One block for each row of outputs; neighbouring threads write neighbouring numbers, and read them too
// wherever `share` is more than a few.

template <typename T>
__device__ void unroll(const T* x, T* columns, const Window& win, int channels, int first, int share) {
    int n = blockIdx.x / win.oh, oh = blockIdx.x % win.oh;
    int width = win.kh * win.kw * share;  // of one window
    const T* image = x + (int64)n * win.h * win.w * channels + first;
    T* row = columns + (int64)blockIdx.x * win.ow * width;
    for (int i = threadIdx.x; i < win.ow * width; i += blockDim.x) {
        int ow = i / width, tap = i % width / share, c = i % share;
        int h = oh * win.sh - win.top + tap / win.kw * win.dh;
        int w = ow * win.sw - win.left + tap % win.kw * win.dw;
        bool inside = h >= 0 && h < win.h && w >= 0 && w < win.w;
        row[i] = inside ? image[((int64)h * win.w + w) * channels + c] : T();
    }
}

extern "C" __global__ void im2col(const real* x, real* columns, Window win, int channels, int first, int share) {
    unroll(x, columns, win, channels, first, share);
}

// `channels`, `first` and `share` count packs here.
extern "C" __global__ void im2col_packs(const pack* x, pack* columns, Window win, int channels, int first, int share) {
    unroll(x, columns, win, channels, first, share);
}
