// cat and split (kernels/reference/shape.py): one copy, walked one way or the other.
//
// Seen as matrices whose rows begin where the axis does, the pieces lie side by side in the whole. Neighbouring threads
// have neighbouring columns of the whole. A thread finds its column's piece once, and then goes down the rows.

struct Piece {
    void* data;
    int64 width, first;  // its columns, and where they begin in the whole
};

// The whole (rows, width) and its neighbouring pieces up to column `end`. kernels/cuda/shape.py fills it in the same
// order.
struct Exchange {
    void* whole;
    int64 rows, width, end;
    int count, split;
    Piece pieces[32];
};

template <typename T>
__device__ void move(const Exchange& e) {
    int64 column = e.pieces[0].first + (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= e.end) return;
    int k = 0;
    while (k + 1 < e.count && column >= e.pieces[k + 1].first) ++k;
    const Piece& piece = e.pieces[k];
    T* inside = (T*)e.whole + column;
    T* apart = (T*)piece.data + column - piece.first;
    int64 step = (int64)gridDim.y * blockDim.y;
    for (int64 row = (int64)blockIdx.y * blockDim.y + threadIdx.y; row < e.rows; row += step) {
        if (e.split) {
            apart[row * piece.width] = inside[row * e.width];
        } else {
            inside[row * e.width] = apart[row * piece.width];
        }
    }
}

// The number is that of the bytes that a thread takes at once; widths and columns are counted in it.

extern "C" __global__ void cat_split_16(const __grid_constant__ Exchange exchange) {
    move<pack>(exchange);
}

extern "C" __global__ void cat_split_8(const __grid_constant__ Exchange exchange) {
    move<int64>(exchange);
}

extern "C" __global__ void cat_split_4(const __grid_constant__ Exchange exchange) {
    move<int>(exchange);
}

extern "C" __global__ void cat_split_1(const __grid_constant__ Exchange exchange) {
    move<uint8>(exchange);
}
