// What CUDA gives a kernel, for g++: threads, blocks, barriers, shuffles. It is put before the text of a kernel file.
//
// Blocks run one after the other. Inside a block the threads are fibers: one runs until it waits at a barrier or in a
// shuffle, then the next one does. The order of the threads and blocks is chosen by whoever launches (forward, reverse,
// or shuffled), which finds code that relies on it. Compiled with CUDA_ON_CPU_THREADS, each thread of a block
// is a real one instead, for ThreadSanitizer.
//
// Stricter than a card: a barrier that some threads of the block never reach, and a shuffle that some lanes of the warp
// never reach, are errors.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __grid_constant__
#define __shared__ static  // blocks run one after the other, so that one copy serves them all

struct Dim {
    unsigned x, y, z;
};

static Dim gridDim, blockDim;
static thread_local Dim threadIdx, blockIdx;

static inline double __longlong_as_double(long long bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

// --- how threads wait for each other: wait(true) for the whole block, wait(false) for the warp

namespace on_cpu {

constexpr unsigned WARP = 32;
constexpr int MOST_THREADS = 1024;

static std::string failure;  // of the launch that runs, "" if all is well
static unsigned count;       // threads of a block
static void (*body)();       // runs the kernel for the thread that threadIdx names

static void fail(const char* what) {
    if (!failure.empty()) return;
    char text[200];
    snprintf(text, sizeof text, "%s, in block (%u, %u, %u)", what, blockIdx.x, blockIdx.y, blockIdx.z);
    failure = text;
}

static unsigned smaller(unsigned a, unsigned b) { return a < b ? a : b; }

static Dim thread_at(unsigned number) {
    return {number % blockDim.x, number / blockDim.x % blockDim.y, number / blockDim.x / blockDim.y};
}

static Dim block_at(unsigned number) {
    return {number % gridDim.x, number / gridDim.x % gridDim.y, number / gridDim.x / gridDim.y};
}

static unsigned thread_number() {
    return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

}  // namespace on_cpu

#ifdef CUDA_ON_CPU_THREADS

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <thread>

namespace on_cpu {

// Of so many threads, again and again. A mutex would order more than a barrier does: whoever wakes up late would come
// after what an early one did next, and ThreadSanitizer would be silent about a race between them. So Linux is asked
// to put threads to sleep and to wake them.
class Meeting {
    unsigned size = 0;
    std::atomic<unsigned> here{0}, round{0};

  public:
    void expect(unsigned threads) { size = threads, here = 0; }
    void wait() {
        unsigned mine = round.load(std::memory_order_relaxed);
        if (here.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
            here.store(0, std::memory_order_relaxed);
            round.store(mine + 1, std::memory_order_release);
            syscall(SYS_futex, &round, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
        } else {
            while (round.load(std::memory_order_acquire) == mine) {
                syscall(SYS_futex, &round, FUTEX_WAIT_PRIVATE, mine, nullptr, nullptr, 0);  // returns if it is not `mine`
            }
        }
    }
};

static Meeting block_meeting, warp_meetings[MOST_THREADS / WARP];

static void wait(bool whole_block) {
    (whole_block ? block_meeting : warp_meetings[thread_number() / WARP]).wait();
}

static void run_blocks(const std::vector<unsigned>& blocks, const std::vector<unsigned>& order) {
    block_meeting.expect(count);
    for (unsigned first = 0; first < count; first += WARP) {
        warp_meetings[first / WARP].expect(smaller(WARP, count - first));
    }
    std::vector<std::thread> threads;
    for (unsigned number : order) {
        threads.emplace_back([&blocks, number] {
            threadIdx = thread_at(number);
            for (unsigned block : blocks) {
                blockIdx = block_at(block);
                body();
                block_meeting.wait();  // the next block uses the same shared memory
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace on_cpu

#else

#include <setjmp.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace on_cpu {

enum State : uint8_t { FRESH, AT_BLOCK_BARRIER, AT_WARP_BARRIER, READY, DONE };

constexpr size_t STACK = 64 << 10;

struct Fiber {
    ucontext_t context;
    jmp_buf place;
    char* stack = new char[STACK];
    bool started = false;
    Dim thread;  // the one that waits on it
};

static Fiber scheduler;  // the stack that we were called on
static std::vector<Fiber*> spare;
static std::vector<State> states;
static std::vector<Fiber*> waiting;      // by thread: the fiber on which it waits
static const std::vector<unsigned>* turns;
static size_t next_turn;
static Fiber* running;

// Leaves `from` where it is, and goes on with `to`. swapcontext alone would do, but it asks the kernel for the signal
// mask each time: a jump is twenty times as fast. AddressSanitizer understands only the former.
static void change(Fiber* from, Fiber* to) {
#ifdef __SANITIZE_ADDRESS__
    void* kept = nullptr;
    __sanitizer_start_switch_fiber(&kept, to->context.uc_stack.ss_sp, to->context.uc_stack.ss_size);
    swapcontext(&from->context, &to->context);
    __sanitizer_finish_switch_fiber(kept, nullptr, nullptr);
#else
    if (_setjmp(from->place)) return;
    if (to->started) _longjmp(to->place, 1);
    to->started = true;
    setcontext(&to->context);
#endif
}

static void to_scheduler() { change(running, &scheduler); }

static void work() {  // what a fiber does: one thread after the other; one that waits keeps the fiber
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    for (;;) {
        while (next_turn < turns->size()) {
            unsigned number = (*turns)[next_turn++];
            threadIdx = thread_at(number);
            body();
            states[number] = DONE;
        }
        spare.push_back(running);
        to_scheduler();
    }
}

static void wait(bool whole_block) {
    unsigned me = thread_number();
    states[me] = whole_block ? AT_BLOCK_BARRIER : AT_WARP_BARRIER;
    waiting[me] = running;
    running->thread = threadIdx;
    to_scheduler();
    threadIdx = running->thread;
}

static void resume(Fiber* fiber) {
    running = fiber;
    scheduler.started = true;
    change(&scheduler, fiber);
}

static Fiber* fresh_fiber() {
    if (!spare.empty()) {
        Fiber* fiber = spare.back();
        spare.pop_back();
        return fiber;
    }
    Fiber* fiber = new Fiber;
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, work, 0);
    return fiber;
}

// Lets those go on for whom all that they wait for are there. False if there are none.
static bool release() {
    bool any = false, all_wait = true;
    for (unsigned i = 0; i < count; ++i) all_wait = all_wait && states[i] == AT_BLOCK_BARRIER;
    for (unsigned first = 0; first < count; first += WARP) {
        unsigned end = smaller(first + WARP, count);
        bool warp_waits = true;
        for (unsigned i = first; i < end; ++i) warp_waits = warp_waits && states[i] == AT_WARP_BARRIER;
        for (unsigned i = first; i < end && (all_wait || warp_waits); ++i) states[i] = READY, any = true;
    }
    return any;
}

static void run_block(const std::vector<unsigned>& order) {
    states.assign(count, FRESH), waiting.assign(count, nullptr);
    turns = &order, next_turn = 0;
    while (next_turn < count) resume(fresh_fiber());  // returns when one waits, or all have run
    for (;;) {
        bool all_done = true;
        for (State state : states) all_done = all_done && state == DONE;
        if (all_done) return;
        if (!release()) {
            fail("some threads wait at a barrier or in a shuffle that others never reach");
            return;  // their fibers are lost; nobody launches much after that
        }
        for (unsigned number : order) {
            if (states[number] == READY) resume(waiting[number]);
        }
    }
}

static void run_blocks(const std::vector<unsigned>& blocks, const std::vector<unsigned>& order) {
    for (unsigned block : blocks) {
        blockIdx = block_at(block);
        run_block(order);
        if (!failure.empty()) return;
    }
}

}  // namespace on_cpu

#endif

static inline void __syncthreads() { on_cpu::wait(true); }
static inline void __syncwarp(unsigned = 0xffffffffu) { on_cpu::wait(false); }

template <typename T>
static T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    static T slots[on_cpu::MOST_THREADS];
    if (mask != 0xffffffffu) on_cpu::fail("a shuffle of a part of the warp");
    unsigned me = on_cpu::thread_number();
    slots[me] = value;
    on_cpu::wait(false);
    T other = slots[me ^ lanes];
    on_cpu::wait(false);  // before the next shuffle writes
    return other;
}

// --- launching by name, with arguments as CuPy passes them: an array of pointers to values

namespace on_cpu {

enum Order { FORWARD, REVERSE, SHUFFLED };

static std::vector<unsigned> order_of(size_t size, int order) {
    std::vector<unsigned> numbers(size);
    for (size_t i = 0; i < size; ++i) numbers[i] = order == REVERSE ? size - 1 - i : i;
    uint64_t random = size;
    for (size_t i = size; order == SHUFFLED && i > 1; --i) {  // Fisher and Yates, with Knuth's generator
        random = random * 6364136223846793005u + 1442695040888963407u;
        std::swap(numbers[i - 1], numbers[(random >> 33) % i]);
    }
    return numbers;
}

static void** arguments;
static void* kernel;

template <typename... A, size_t... I>
static void call(std::index_sequence<I...>) {
    reinterpret_cast<void (*)(A...)>(kernel)(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}

template <typename... A>
static void call_all() {
    call<A...>(std::index_sequence_for<A...>());
}

template <typename... A>
static const char* launch(void (*k)(A...), void** args, const unsigned* sizes, int order) {
    failure = "";
    gridDim = {sizes[0], sizes[1], sizes[2]}, blockDim = {sizes[3], sizes[4], sizes[5]};
    count = blockDim.x * blockDim.y * blockDim.z;
    kernel = reinterpret_cast<void*>(k), arguments = args, body = call_all<A...>;
    run_blocks(order_of((size_t)gridDim.x * gridDim.y * gridDim.z, order), order_of(count, order));
    return failure.c_str();
}

// "f4", "i8", "u1", ... for numbers, "*f4" for pointers to them, "S48" for structures of 48 bytes. A pointer to packs
// is one to their numbers.
template <typename T>
static std::string code() {
    using V = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<V>) {
        using E = std::remove_cv_t<std::remove_pointer_t<V>>;
        if constexpr (std::is_class_v<E>) return "*" + code<std::remove_reference_t<decltype(std::declval<E>().at[0])>>();
        else return "*" + code<E>();
    } else if constexpr (std::is_class_v<V>) {
        return "S" + std::to_string(sizeof(V));
    } else {
        const char* kind = std::is_floating_point_v<V> ? "f" : std::is_unsigned_v<V> ? "u" : "i";
        return kind + std::to_string(sizeof(V));
    }
}

template <typename... A>
static const char* signature(void (*)(A...)) {
    static std::string text;
    text = "";
    ((text += code<A>() + " "), ...);
    return text.c_str();
}

}  // namespace on_cpu

#define LAUNCHABLE(name)                                                                                  \
    extern "C" const char* name##_signature() { return on_cpu::signature(&name); }                        \
    extern "C" const char* name##_launch(void** args, const unsigned* sizes, int order) {                 \
        return on_cpu::launch(&name, args, sizes, order);                                                 \
    }
