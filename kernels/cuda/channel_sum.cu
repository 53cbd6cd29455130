// Sums over everything but the channels, in two launches and without atomics: the rows are cut into parts by their
// number alone, each part is added up by one block, and then the parts are added up in their order.

// x (rows, channels) -> partial (parts, channels); the grid is (tiles of channels, parts).
extern "C" __global__ void part_sums(const real* x, real* partial, int64 rows, int channels, int parts) {
    int c = blockIdx.x * SUM_TILE + threadIdx.x;
    int64 end = part_begin(rows, blockIdx.y + 1, parts);
    real sum = 0;
    if (c < channels) {
        for (int64 row = part_begin(rows, blockIdx.y, parts) + threadIdx.y; row < end; row += SUM_LANES) {
            sum += x[row * channels + c];
        }
    }
    sum = over_lanes(sum);
    if (c < channels && threadIdx.y == 0) partial[(int64)blockIdx.y * channels + c] = sum;
}

// One of several convolutions that go backward together: the gradient of its output, the output if it ends in ReLU,
// and where its `channels` begin among those of all.
struct Member {
    const real* grad;
    const real* output;
    int channels, first;
};
struct Members {
    Member at[8];
};

// What ReLU lets pass of each member's gradient, side by side: masked (rows, channels), and its part sums
// (parts, channels), both for the channels of all. The grid is (tiles of a member's channels, parts, members).
extern "C" __global__ void mask_and_part_sums(
    const __grid_constant__ Members members, real* masked, real* partial, int64 rows, int channels, int parts
) {
    const Member& m = members.at[blockIdx.z];
    int c = blockIdx.x * SUM_TILE + threadIdx.x;
    int64 end = part_begin(rows, blockIdx.y + 1, parts);
    real sum = 0;
    if (c < m.channels) {
        for (int64 row = part_begin(rows, blockIdx.y, parts) + threadIdx.y; row < end; row += SUM_LANES) {
            int64 place = row * m.channels + c;
            real g = m.grad[place];
            if (m.output && m.output[place] <= 0) g = 0;
            masked[row * channels + m.first + c] = g;
            sum += g;
        }
    }
    sum = over_lanes(sum);
    if (c < m.channels && threadIdx.y == 0) partial[(int64)blockIdx.y * channels + m.first + c] = sum;
}

// partial (parts, channels) -> total (channels,).
extern "C" __global__ void add_parts(const real* partial, real* total, int channels, int parts) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    real sum = 0;
    for (int part = 0; part < parts; ++part) sum += partial[(int64)part * channels + c];
    total[c] = sum;
}
