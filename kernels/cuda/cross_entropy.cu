// Softmax and cross-entropy in one kernel: one warp a row of logits (rows, classes), whose lanes take every 32nd class.
// The mathematics is that of kernels/reference/loss.py. How much each class counts in a row is computed where it is
// needed, and never lies in memory.
//
// A target is class numbers (rows,) or probabilities (rows, classes); the templates' overloads tell them apart. A class
// number that does not exist makes its row's results NaN, and nothing is read outside of the arrays. On the CPU it is
// an IndexError; here somebody would have to wait for the card to hear of it.

__device__ real belief(const int64* target, int64 row, int c, int classes) {
    return target[row] == c;
}
__device__ real belief(const real* target, int64 row, int c, int classes) {
    return target[row * classes + c];
}

__device__ bool ignored(const int64* target, int64 row, int64 ignore_index) {
    return target[row] == ignore_index;
}
__device__ bool ignored(const real* target, int64 row, int64 ignore_index) {
    return false;
}

__device__ bool possible(const int64* target, int64 row, int classes) {
    return target[row] >= 0 && target[row] < classes;
}
__device__ bool possible(const real* target, int64 row, int classes) {
    return true;
}

// How much the row counts in a mean, if it is neither ignored nor impossible.
__device__ real row_weight(const int64* target, int64 row, const real* weight) {
    return weight ? weight[target[row]] : 1;
}
__device__ real row_weight(const real* target, int64 row, const real* weight) {
    return 1;
}

// How much a class counts: label smoothing leaves a `share` of the belief in it, and gives `even` to every class.
template <typename Target>
__device__ real counted(
    const Target* target, int64 row, int c, int classes, const real* weight, real share, real even
) {
    return (belief(target, row, c, classes) * share + even) * (weight ? weight[c] : 1);
}

__device__ real not_a_number() {
    return infinity() - infinity();
}

template <typename Target>
__device__ void forward(
    const real* logits, const Target* target, const real* weight, int64 ignore_index, real share, real even,
    real* losses, real* log_probabilities, real* row_weights, int64 rows, int classes
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    logits += row * classes, log_probabilities += row * classes;
    real most = -infinity(), total = 0, loss = 0;
    for (int c = threadIdx.x; c < classes; c += 32) {
        most = logits[c] > most || logits[c] != logits[c] ? logits[c] : most;  // NaN wins
    }
    most = warp_max(most);
    for (int c = threadIdx.x; c < classes; c += 32) total += exp(logits[c] - most);
    real log_total = log(warp_sum(total));
    bool counts = !ignored(target, row, ignore_index);
    for (int c = threadIdx.x; c < classes; c += 32) {
        real log_probability = logits[c] - most - log_total;
        log_probabilities[c] = log_probability;
        real t = counts ? counted(target, row, c, classes, weight, share, even) : 0;
        if (t != 0) loss -= t * log_probability;  // one that does not count adds nothing, even where this is -inf
    }
    loss = warp_sum(loss);
    if (threadIdx.x > 0) return;
    if (counts && !possible(target, row, classes)) {
        losses[row] = row_weights[row] = not_a_number();
    } else {
        losses[row] = loss;
        row_weights[row] = counts ? row_weight(target, row, weight) : 0;
    }
}

template <typename Target>
__device__ void backward(
    const real* row_grad, const real* log_probabilities, const Target* target, const real* weight, int64 ignore_index,
    real share, real even, real* grad, int64 rows, int classes
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    log_probabilities += row * classes, grad += row * classes;
    bool counts = !ignored(target, row, ignore_index);
    real total = 0;
    for (int c = threadIdx.x; c < classes; c += 32) {
        total += counts ? counted(target, row, c, classes, weight, share, even) : 0;
    }
    total = warp_sum(total);
    if (counts && !possible(target, row, classes)) total = not_a_number();
    for (int c = threadIdx.x; c < classes; c += 32) {
        real t = counts ? counted(target, row, c, classes, weight, share, even) : 0;
        grad[c] = counts ? row_grad[row] * (exp(log_probabilities[c]) * total - t) : 0;
    }
}

extern "C" __global__ void cross_entropy_of_numbers(
    const real* logits, const int64* target, const real* weight, int64 ignore_index, real share, real even,
    real* losses, real* log_probabilities, real* row_weights, int64 rows, int classes
) {
    forward(
        logits, target, weight, ignore_index, share, even, losses, log_probabilities, row_weights, rows, classes
    );
}

extern "C" __global__ void cross_entropy_of_probabilities(
    const real* logits, const real* target, const real* weight, int64 ignore_index, real share, real even,
    real* losses, real* log_probabilities, real* row_weights, int64 rows, int classes
) {
    forward(
        logits, target, weight, ignore_index, share, even, losses, log_probabilities, row_weights, rows, classes
    );
}

extern "C" __global__ void backward_of_numbers(
    const real* row_grad, const real* log_probabilities, const int64* target, const real* weight, int64 ignore_index,
    real share, real even, real* grad, int64 rows, int classes
) {
    backward(row_grad, log_probabilities, target, weight, ignore_index, share, even, grad, rows, classes);
}

extern "C" __global__ void backward_of_probabilities(
    const real* row_grad, const real* log_probabilities, const real* target, const real* weight, int64 ignore_index,
    real share, real even, real* grad, int64 rows, int classes
) {
    backward(row_grad, log_probabilities, target, weight, ignore_index, share, even, grad, rows, classes);
}

// The gradient of probabilities: log-probabilities (rows, classes) -> grad. threadIdx.x walks along a row.
extern "C" __global__ void target_grad(
    const real* row_grad, const real* log_probabilities, const real* weight, real share, real* grad, int64 rows,
    int classes
) {
    int64 row = (int64)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        int64 at = row * classes + c;
        grad[at] = row_grad[row] * (-share * (weight ? weight[c] : 1) * log_probabilities[at]);
    }
}
