// One step of Adam for many parameters at once: grid (chunks of the largest, parameters).

constexpr int MOST = 96;     // parameters in one launch: what 4096 bytes of arguments have room for
constexpr int CHUNK = 4096;  // elements of a block

// All of one parameter's arrays are flat and have the same order in memory.
struct Parameter {
    real* param;
    const real* grad;
    real* mean;
    real* square;
    int64 count;
};
struct Parameters {
    Parameter at[MOST];
};

// `rate` and `correction` are the learning rate and the root of the squares, corrected for the averages' start at 0.
// Of `keep` and `weight_decay` one is without effect: decay shrinks the parameter or joins its gradient.
extern "C" __global__ void adam(
    const __grid_constant__ Parameters parameters, real rate, real keep, real beta1, real rest1, real beta2,
    real rest2, real correction, real eps, real weight_decay, const int64* halted
) {
    if (halted && *halted) return;
    const Parameter& own = parameters.at[blockIdx.y];
    int64 begin = (int64)blockIdx.x * CHUNK, end = begin + CHUNK < own.count ? begin + CHUNK : own.count;
    for (int64 i = begin + threadIdx.x; i < end; i += blockDim.x) {
        real p = own.param[i], g = own.grad[i] + weight_decay * p;
        real mean = beta1 * own.mean[i] + rest1 * g, square = beta2 * own.square[i] + rest2 * g * g;
        own.mean[i] = mean, own.square[i] = square;
        own.param[i] = keep * p - rate * mean / (sqrt(square) / correction + eps);
    }
}
