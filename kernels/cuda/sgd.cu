// One step of stochastic gradient descent for many parameters at once: grid (chunks of the largest, parameters).

constexpr int MOST = 120;    // parameters in one launch: what 4096 bytes of arguments have room for
constexpr int CHUNK = 4096;  // elements of a block

// All of one parameter's arrays are flat and have the same order in memory. Without momentum there is no velocity.
struct Parameter {
    real* param;
    const real* grad;
    real* velocity;
    int64 count;
};
struct Parameters {
    Parameter at[MOST];
};

extern "C" __global__ void sgd(
    const __grid_constant__ Parameters parameters, real lr, real momentum, real weight_decay, int nesterov,
    const int64* halted
) {
    if (halted && *halted) return;
    const Parameter& own = parameters.at[blockIdx.y];
    int64 begin = (int64)blockIdx.x * CHUNK, end = begin + CHUNK < own.count ? begin + CHUNK : own.count;
    for (int64 i = begin + threadIdx.x; i < end; i += blockDim.x) {
        real p = own.param[i], g = own.grad[i] + weight_decay * p;
        if (own.velocity) {
            real v = momentum * own.velocity[i] + g;
            own.velocity[i] = v;
            g = nesterov ? g + momentum * v : v;
        }
        own.param[i] = p - lr * g;
    }
}
