// What the kernels share. The loader puts it before each .cu file, behind a line that says what `real` is:
// float or double. NVRTC compiles the whole text, which therefore includes no header.

typedef long long int64;
typedef unsigned int uint32;
typedef unsigned char uint8;

// --- packs: what one thread loads or stores in one instruction of 128 bits, 4 floats or 2 doubles

// `count` numbers side by side, which a thread loads and stores as one.
template <typename Number, int count>
struct alignas(count * sizeof(Number)) Group {
    Number at[count];
};

constexpr int PACK = 16 / sizeof(real);
typedef Group<real, PACK> pack;
typedef Group<real, 1> single;  // for templates that look into T

// Operands are handed over by value: of a reference the compiler would load one number after the other.

__device__ inline pack operator+(pack a, pack b) {
    pack sum;
    for (int i = 0; i < PACK; ++i) sum.at[i] = a.at[i] + b.at[i];
    return sum;
}

__device__ inline pack operator/(pack a, real b) {
    pack quotient;
    for (int i = 0; i < PACK; ++i) quotient.at[i] = a.at[i] / b;
    return quotient;
}

// Kernels that exist for single numbers and for packs are templates over T; T() is zero for both.

// --- numbers

__device__ inline real positive(real x) {
    return x < 0 ? 0 : x;  // NaN is passed on, as it is by PyTorch's ReLU
}

__device__ inline real infinity() {
    return __longlong_as_double(0x7ff0000000000000LL);
}

// --- sliding windows

// A window of kh x kw taps, dh and dw apart, moved by sh and sw over h x w inputs with `top` rows and `left` columns
// of padding before them; it has oh x ow places. kernels/cuda/launch.py fills it in the same order.
struct Window {
    int h, w, oh, ow, kh, kw, sh, sw, top, left, dh, dw;
};

// The outputs, along one axis, whose windows span input `place`. The last of them has it nearest to its first tap.
struct Outputs {
    int first, last;
};

__device__ inline Outputs outputs_over(int place, int before, int kernel, int stride, int dilation, int outputs) {
    int padded = place + before, behind = padded - dilation * (kernel - 1);
    int first = behind <= 0 ? 0 : (behind + stride - 1) / stride, last = padded / stride;
    return {first, last < outputs ? last : outputs - 1};
}

// Which tap lies so far behind a window's first one, or -1. Most windows have dilation 1, and need no division.
__device__ inline int tap_at(int distance, int dilation) {
    if (dilation == 1) return distance;
    return distance % dilation ? -1 : distance / dilation;
}

// --- sums over the 32 lanes of a warp: every lane gets the result, in the same order of additions on every run

__device__ inline real warp_sum(real x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ inline real warp_max(real x) {
    for (int step = 16; step > 0; step /= 2) {
        real other = __shfl_xor_sync(0xffffffffu, x, step);
        x = other > x || other != other ? other : x;  // NaN wins
    }
    return x;
}

// --- sums over the rows of a matrix (channel_sum.cu), by blocks of SUM_TILE x SUM_LANES threads

constexpr int SUM_TILE = 32;  // channels of a block, a warp's width
constexpr int SUM_LANES = 8;  // rows that a block adds up at once

// The block's sum for channel threadIdx.x, for the threads with threadIdx.y 0.
__device__ inline real over_lanes(real sum) {
    __shared__ real sums[SUM_LANES][SUM_TILE];
    sums[threadIdx.y][threadIdx.x] = sum;
    for (int step = SUM_LANES / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.y < step) sums[threadIdx.y][threadIdx.x] += sums[threadIdx.y + step][threadIdx.x];
    }
    return threadIdx.y == 0 ? sums[0][threadIdx.x] : 0;
}

// Which rows a part has; every part but the last has equally many.
__device__ inline int64 part_begin(int64 rows, int part, int parts) {
    int64 size = (rows + parts - 1) / parts, begin = part * size;
    return begin < rows ? begin : rows;
}
