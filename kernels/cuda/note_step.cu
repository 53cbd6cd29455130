// What a training step came to: its loss, how many rows of logits (rows, classes) are largest at their target, and
// whether updates end. One block, so that the count is complete when it ends; its warps take the rows in turn.

constexpr int WARPS = 32;

// Whether number x of class i stands before number y of class k: NaN before all, and of equal ones the first.
__device__ bool before(real x, int i, real y, int k) {
    bool x_is_nan = x != x, y_is_nan = y != y;
    if (x_is_nan || y_is_nan) return x_is_nan && (!y_is_nan || i < k);
    return x > y || (x == y && i < k);
}

__device__ int first_largest(const real* row, int classes) {
    real most = -infinity();
    int place = classes;
    for (int c = threadIdx.x; c < classes; c += 32) {
        if (before(row[c], c, most, place)) most = row[c], place = c;
    }
    for (int step = 16; step > 0; step /= 2) {
        real other = __shfl_xor_sync(0xffffffffu, most, step);
        int other_place = __shfl_xor_sync(0xffffffffu, place, step);
        if (before(other, other_place, most, place)) most = other, place = other_place;
    }
    return place;
}

extern "C" __global__ void note_step(
    const real* logits, const int64* target, const real* loss, int64 step, real* record, int64* halted, int64 rows,
    int classes
) {
    __shared__ int64 right[WARPS];
    int64 count = 0;
    for (int64 row = threadIdx.y; row < rows; row += WARPS) {
        count += first_largest(logits + row * classes, classes) == target[row];
    }
    if (threadIdx.x == 0) right[threadIdx.y] = count;
    __syncthreads();
    if (threadIdx.x > 0 || threadIdx.y > 0) return;
    count = 0;
    for (int warp = 0; warp < WARPS; ++warp) count += right[warp];
    record[0] = *loss;
    record[1] = count;
    bool finite = *loss > -infinity() && *loss < infinity();
    if (*halted == 0 && !finite) *halted = step;
}
