// pad (kernels/reference/shape.py), of arrays of up to 16 axes.
//
// The last axis makes the rows. A thread has one column of the result, and goes down its rows.

struct Axis {
    int64 x, y, before;  // length of x and of y, and how many places of y come before x's first, or are cut off
};

// kernels/cuda/shape.py fills it in the same order.
struct Padding {
    const void* x;
    void* y;
    int64 rows, count;  // of y; of the axes
    Axis axes[16];
};

template <typename T>
__device__ void pad_rows(const Padding& p, T value) {
    const Axis& last = p.axes[p.count - 1];
    int64 column = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= last.y) return;
    int64 step = (int64)gridDim.y * blockDim.y;
    for (int64 row = (int64)blockIdx.y * blockDim.y + threadIdx.y; row < p.rows; row += step) {
        int64 place = column - last.before, source = place, size = last.x, rest = row;
        bool inside = place >= 0 && place < last.x;
        for (int i = (int)p.count - 2; i >= 0; --i) {
            const Axis& axis = p.axes[i];
            place = rest % axis.y - axis.before;
            rest /= axis.y;
            inside = inside && place >= 0 && place < axis.x;
            source += place * size;
            size *= axis.x;
        }
        ((T*)p.y)[row * last.y + column] = inside ? ((const T*)p.x)[source] : value;
    }
}

// The number is that of the bytes that a thread takes at once; the last axis is counted in it, and `value` fills it.

extern "C" __global__ void pad_16(const __grid_constant__ Padding padding, pack value) {
    pad_rows(padding, value);
}

extern "C" __global__ void pad_8(const __grid_constant__ Padding padding, int64 value) {
    pad_rows(padding, value);
}

extern "C" __global__ void pad_4(const __grid_constant__ Padding padding, int value) {
    pad_rows(padding, value);
}

extern "C" __global__ void pad_1(const __grid_constant__ Padding padding, uint8 value) {
    pad_rows(padding, value);
}
