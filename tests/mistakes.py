"""Mistakes that others made, or that we made once: what the tests are tested with, by tests/mutants.py."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One mistake: `old` stands once in `file`, becomes `new`, and `test` must then fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


GRADCHECK = "tests/minigrad/test_gradcheck.py::test_every_family_of_operations_passes"
BACKWARD = "tests/minigrad/test_backward.py"
RANKS = "tests/minigrad/parallel"
RACES = "tests/kernels/cuda/test_sanitizers.py::test_no_race_inside_a_block"

MUTANTS = [
    Mutant(
        "col2im overwrites", "kernels/reference/conv.py",
        "x[:, rows, cols] += columns", "x[:, rows, cols] = columns", f"{GRADCHECK}[reference-conv2d]",
    ),
    Mutant(
        "same padding on the wrong side", "minigrad/ops/conv.py",
        "return (rows // 2, rows - rows // 2), (cols // 2, cols - cols // 2)",
        "return (rows - rows // 2, rows // 2), (cols - cols // 2, cols // 2)",
        "tests/minigrad/test_functional_conv.py::test_same_padding_puts_the_odd_place_at_the_end[reference]",
    ),
    Mutant(
        "max-pool padded with 0", "kernels/reference/pool.py",
        "np.full((n, oh, ow, c), -np.inf, x.dtype)", "np.zeros((n, oh, ow, c), x.dtype)",
        "tests/minigrad/test_functional_pool.py::test_padding_never_wins[reference]",
    ),
    Mutant(
        "the last of equal maxima wins", "kernels/reference/pool.py",
        "in reversed(taps):", "in taps:",
        "tests/minigrad/test_functional_pool.py::test_the_first_of_equal_maxima_has_the_gradient[reference]",
    ),
    Mutant(
        "cross-entropy gradient without the label", "kernels/reference/loss.py",
        "keepdims=True) - counted", "keepdims=True)", f"{GRADCHECK}[reference-cross_entropy]",
    ),
    Mutant(
        "division squares the divisor", "minigrad/ops/arithmetic.py",
        "-(grad / b) * (a / b)", "-grad * a / (b * b)",
        "tests/minigrad/test_tensor.py::test_division_goes_back_where_squares_are_out_of_range[0.0-1e-25]",
    ),
    Mutant(
        "long sums in float32", "minigrad/ops/arithmetic.py",
        "(np.float64, a.dtype) if", "(a.dtype, a.dtype) if",
        "tests/minigrad/test_tensor.py::test_long_sums_lose_nothing",
    ),
    Mutant(
        "means in float32", "kernels/cpu/pool.py",
        "np.empty(channels, np.float64)", "np.empty(channels, np.float32)",
        "tests/kernels/test_pool.py::test_means_of_many_places_lose_nothing[cpu]",
    ),
    Mutant(
        "a step writes where it may not", "kernels/cpu/optim.py",
        "if not all(array.flags.writeable for array in (p, *state)):", "if False:",
        "tests/kernels/test_optim.py::test_memory_that_is_read_only_stays[cpu-sgd_step]",
    ),
    Mutant(
        "a product of nothing is left as it lies", "kernels/cpu/matmul.py",
        "            out[:] = np.maximum(0 if bias is None else bias, floor)\n", "            pass\n",
        "tests/kernels/test_linear.py::test_sums_of_nothing_are_the_bias[cpu]",
    ),
    Mutant(
        "bytes read as floats", "kernels/cpu/linear.py",
        "if x.dtype != np.float32:", "if False:",
        "tests/kernels/test_linear.py::test_pixels_are_multiplied_as_what_they_are[cpu]",
    ),
    Mutant(
        "a parameter given twice moves twice", "minigrad/optim/optimizers.py",
        "if (first := places.setdefault(parameter, index)) != index:", "if False:",
        "tests/minigrad/test_optim.py::test_wrong_arguments_are_named[<lambda>-params: number 3 is number 0 again]",
    ),
    Mutant(
        "gradcheck adds to the gradients of others", "minigrad/gradcheck.py",
        "    for leaf in leaves:\n        leaf.grad = None\n", "",
        "tests/minigrad/test_gradcheck.py::test_gradients_of_others_stay_as_they_were",
    ),
    Mutant(
        "frozen modules thaw", "minigrad/nn/module.py",
        "            module.training = mode\n\n\ndef _cast", "            module.training = modes[0][1]\n\n\ndef _cast",
        "tests/minigrad/test_nn.py::test_modes_are_kept_module_by_module",
    ),
    Mutant(
        "label smoothing forgotten", "kernels/reference/loss.py",
        "belief = belief * (1 - label_smoothing) + label_smoothing / classes", "pass",
        "tests/minigrad/test_functional_loss.py::test_smoothed_loss_is_between_the_label_and_all_classes[reference]",
    ),
    Mutant(
        "softmax gradient without the sum", "kernels/reference/activation.py",
        "output * (grad - (grad * output).sum(axis=axis, keepdims=True))", "output * grad",
        f"{GRADCHECK}[reference-softmax]",
    ),
    Mutant(
        "relu passes gradients at 0", "kernels/reference/activation.py",
        "np.where(output <= 0,", "np.where(output < 0,",
        "tests/minigrad/test_functional_norm.py::test_relu_has_no_gradient_at_zero[reference]",
    ),
    Mutant(
        "batch norm's ReLU passes gradients at 0", "kernels/cpu/norm.py",
        "bias) <= np.float32(0) else grad", "bias) < np.float32(0) else grad",
        "tests/kernels/test_norm.py::"
        "test_batch_norms_relu_blocks_the_gradient_just_where_the_output_is_zero[cpu-float32]",
    ),
    Mutant(
        "batch norm's ReLU blocks another bit than the output says", "kernels/cpu/norm.py",
        "if _affine(x, mean, scale, bias) <= np", "if x * scale + (bias - mean * scale) <= np",
        "tests/kernels/test_norm.py::"
        "test_batch_norms_relu_blocks_the_gradient_just_where_the_output_is_zero[cpu-float32]",
    ),
    Mutant(
        "batch norm's sums leave out what does not fill four rows", "kernels/cpu/norm.py",
        "            while row < end:\n", "            while row + 4 <= end:\n",
        "tests/kernels/test_norm.py::test_batch_statistics_agree_with_torch[cpu-float32]",
    ),
    Mutant(
        "batch norm's variance taken as constant", "kernels/reference/norm.py",
        " - normalised * (weight_grad / count))", ")", f"{GRADCHECK}[reference-batch_norm]",
    ),
    Mutant(
        "local response norm's window not turned round", "kernels/reference/norm.py",
        "(-beta - 1), (size - 1) // 2, size // 2)", "(-beta - 1), size // 2, (size - 1) // 2)",
        f"{GRADCHECK}[reference-local_response_norm]",
    ),
    Mutant(
        "dropout without 1 / (1 - p)", "kernels/reference/dropout.py",
        "x * x.dtype.type(1 / (1 - p))", "x",
        "tests/minigrad/test_functional_norm.py::test_dropout_zeroes_a_share_and_scales_the_rest[reference]",
    ),
    Mutant(
        "Adam without bias correction", "kernels/reference/optim.py",
        "(1 - beta**step for beta in betas)", "(1.0 for beta in betas)",
        "tests/minigrad/test_optim.py::test_adams_first_step_is_the_rate_whatever_the_gradient[reference]",
    ),
    Mutant(
        "a second gradient overwrites the first", "minigrad/backward.py",
        "as_array(self._sums[node] + gradient)", "as_array(gradient + 0)",
        f"{BACKWARD}::test_operands_are_told_apart_by_position",
    ),
    Mutant(
        "a borrowed gradient is kept", "minigrad/backward.py",
        'gradient if ours else gradient.copy(order="K")', "gradient",
        f"{BACKWARD}::test_gradients_of_two_leaves_are_never_one_array",
    ),
    Mutant(
        "a used graph is not marked", "minigrad/function.py",
        "self.saved, self.into, self.freed = (), (), True", "self.saved, self.into = (), ()",
        f"{BACKWARD}::test_a_part_shared_by_two_losses_raises_on_the_second",
    ),
    Mutant(
        "a sum that an operation has added to is added once more", "minigrad/backward.py",
        "if gradient is not self._sums[node]:", "if True:",
        f"{BACKWARD}::test_an_operation_may_add_to_the_sum_itself",
    ),
    Mutant(
        "a team waits for what waits for it", "minigrad/backward.py",
        " and not any(isinstance(o, Function) for o in others)", "",
        f"{BACKWARD}::test_a_team_does_not_wait_for_what_others_wait_for",
    ),
    Mutant(
        "memory cut off is not linked to what stands behind it", "kernels/memory.py",
        "self.behind.before = rest", "pass",
        "tests/kernels/test_memory.py::test_live_arrays_never_overlap_and_all_memory_comes_back_whole",
    ),
    Mutant(
        "the cpu's mask lets gradients of blocked outputs pass", "kernels/cpu/blocks.py",
        "if output[k] <= 0 else source[k]", "if output[k] < 0 else source[k]",
        "tests/kernels/test_conv.py::test_a_gradient_passes_relu_at_nan[cpu-float32]",
    ),
    Mutant(
        "Winograd reads infinity at the wrong output", "kernels/cpu/winograd_transforms.py",
        "Fraction(i == m - 1)", "Fraction(i == 0)",
        "tests/kernels/cpu/test_winograd.py::test_the_matrices_compute_a_correlation",
    ),
    Mutant(
        "the micro-kernel stays at the first piece of a row", "kernels/cpu/microkernel.py",
        "pieces = [emit.offset(row, offset) for row in a_rows]", "pieces = a_rows",
        "tests/kernels/cpu/test_gemm.py::test_rows_times_panels",
    ),
    Mutant(
        "a hole reaches one row too far", "kernels/cpu/resize.py",
        "row < view.hole_top", "row <= view.hole_top", "tests/kernels/test_resize.py::test_a_small_view_by_hand[cpu]",
    ),
    Mutant(
        "views stay behind when their images are shuffled", "minigrad/data/batches.py",
        "else views[chosen]", "else views[begin : begin + batch_size]",
        "tests/minigrad/data/test_batches.py::test_views_go_with_their_images",
    ),
    Mutant(
        "an ensemble averages logits", "minigrad/training/evaluation.py",
        "probabilities.mean(axis=0)", "np.exp(np.log(probabilities).mean(axis=0))",
        "tests/minigrad/commands/test_evaluate.py::test_an_ensemble_averages_probabilities",
    ),
    Mutant(
        "no test-time view is mirrored", "minigrad/training/evaluation.py",
        "= top, left, mirrored", "= top, left, 0",
        "tests/minigrad/commands/test_evaluate.py::test_tta_looks_in_the_ways_that_a_run_has_learnt_from",
    ),
    Mutant(
        "a run that has seen no mirrored images is tested on some", "minigrad/commands/evaluate.py",
        "with_mirrored=config.flip", "with_mirrored=True",
        "tests/minigrad/commands/test_evaluate.py::test_tta_looks_in_the_ways_that_a_run_has_learnt_from",
    ),
    Mutant(
        "broadcast gradients are not summed", "minigrad/ops/arithmetic.py",
        "total(grad, (*range(ahead), *stretched), keepdims=True)",
        "grad.mean((*range(ahead), *stretched), keepdims=True)",
        f"{GRADCHECK}[reference-arithmetic]",
    ),
    Mutant(
        "NumPy scalars promote", "minigrad/tensor.py",
        "return value.item()", "return Tensor(value)", "tests/minigrad/test_tensor.py::test_numbers_never_promote",
    ),
    Mutant(
        "superfluous names are loaded in silence", "minigrad/state.py",
        "given.keys() - own.keys()", "set()",
        "tests/minigrad/test_nn.py::test_loading_what_does_not_fit_changes_nothing",
    ),
    Mutant(
        "weights are saved in memory order", "minigrad/state.py",
        'np.array(device.host(array), order="C")', "np.array(device.host(array))",
        "tests/minigrad/test_nn.py::test_state_is_a_contiguous_copy_in_logical_shape",
    ),
    Mutant(
        "safetensors is handed a view", "minigrad/array_files.py",
        "np.ascontiguousarray(array).reshape(array.shape)", "array",
        "tests/minigrad/training/test_checkpoint.py::test_saving_writes_the_logical_order_of_a_view",
    ),
    Mutant(
        "auxiliary classifiers run in evaluation", "googlenet.py",
        "if self.aux1 and self.aux2 and self.training:", "if self.aux1 and self.aux2:",
        "tests/test_googlenet_variants.py::test_evaluation_never_runs_the_auxiliary_classifiers[torchvision-32]",
    ),
    Mutant(
        "an exported average counts padding where it should not", "minigrad/interop/onnx_operations.py",
        "count_include_pad=int(count_padding)", "count_include_pad=int(not count_padding)",
        "tests/minigrad/interop/test_onnx.py::test_operations_agree[avg_pool2d]",
    ),
    Mutant(
        "an exported pool forgets its last window", "minigrad/interop/onnx_operations.py",
        "max(0, (places - 1) * stride + span - size - before)", "before",
        "tests/minigrad/interop/test_onnx.py::test_operations_agree[max_pool2d, ceil_mode]",
    ),
    Mutant(
        "what a network computes past its operations is exported as it was", "minigrad/interop/onnx.py",
        "if graph.nodes != again.nodes or", "if False and",
        "tests/minigrad/interop/test_onnx.py::test_what_is_computed_past_the_operations_is_noticed",
    ),
    # --- the GPU path: one for each rung of its proof
    Mutant(
        "a barrier is dropped", "kernels/cuda/note_step.cu",
        "    __syncthreads();\n", "",
        "tests/kernels/cuda/test_orders.py::test_the_same_bits_in_every_order[note_step-float32]",
    ),
    Mutant(
        "two sums share a place without a barrier between them", "kernels/cuda/batch_norm.cu",
        "__syncthreads();  // over_lanes keeps both sums in the same place", "", f"{RACES}[batch_norm]",
    ),
    Mutant(
        "a plain += where warps meet", "kernels/cuda/note_step.cu",
        "right[threadIdx.y] = count;", "right[0] += count;", f"{RACES}[note_step]",
    ),
    Mutant(
        "a bound is off by one", "kernels/cuda/im2col.cu",
        "i < win.ow * width;", "i <= win.ow * width;",
        "tests/kernels/cuda/test_sanitizers.py::test_no_stray_access_and_no_undefined_behaviour",
    ),
    Mutant(
        "col2im forgets a tap", "kernels/cuda/col2im.cu",
        "oh >= rows.first; --oh", "oh > rows.first; --oh",
        "tests/kernels/test_conv.py::test_conv2d_and_its_gradients_agree_with_torch[cuda-standin-float32]",
    ),
    Mutant(
        "what only g++ knows", "kernels/cuda/common.cuh",
        "return __longlong_as_double(0x7ff0000000000000LL);", "return INFINITY;",
        "tests/kernels/cuda/test_compiled.py::test_compiles_without_a_warning[max_pool.float32-75]",
    ),
    Mutant(
        "packs are loaded number by number", "kernels/cuda/common.cuh",
        "operator+(pack a, pack b)", "operator+(const pack& a, const pack& b)",
        "tests/kernels/cuda/test_compiled.py::test_packs_move_128_bits_at_a_time[col2im.float32-90]",
    ),
    Mutant(
        "nothing is mirrored", "kernels/cuda/resize_bilinear.cu",
        "view.mirrored ? ow - 1 - column : column", "column",
        "tests/kernels/test_resize.py::test_a_small_view_by_hand[cuda-standin]",
    ),
    Mutant(
        "a Python number as an argument", "kernels/cuda/columns.py",
        "*sizes, np.int32(add))", "*sizes, int(add))",
        "tests/kernels/test_conv.py::test_conv2d_and_its_gradients_agree_with_torch[cuda-standin-float32]",
    ),
    Mutant(
        "a part of CuPy that `import cupy` does not bring", "kernels/cuda/matmul.py",
        "from cupy import cublas", "import cupy; cublas = cupy.cublas",
        "tests/kernels/test_linear.py",
    ),
    Mutant(
        "a hidden copy to the host in every step", "minigrad/training/step_log.py",
        "self._noted.append((step, images, len(target), rate))",
        "self._noted.append((step, images, len(target), rate + 0 * float(loss)))",
        "tests/benchmarks/test_gpu_plan.py::test_few_launches_and_one_wait",
    ),
    Mutant(
        "updates go on after a loss that is not finite", "kernels/cuda/sgd.cu",
        "if (halted && *halted) return;", "",
        "tests/test_gpu_training.py::test_a_loss_that_is_not_finite_stops_the_updates",
    ),
    Mutant(
        "an optimiser on the CPU steps parameters on the card", "minigrad/optim/optimizers.py",
        "kernels.serving(*params, *grads, *itertools.chain(*slots.values()))", "kernels.serving(*params)",
        "tests/minigrad/test_on_device.py::test_an_optimiser_left_behind_says_so[cuda-standin]",
    ),
    Mutant(
        "auxiliary classifiers count as much as the main one", "minigrad/training/objective.py",
        "AUX_WEIGHT * other.loss", "other.loss",
        "tests/minigrad/training/test_objective.py::test_auxiliary_classifiers_count_three_tenths",
    ),
    Mutant(
        "an averaged model keeps the statistics of the trained one", "minigrad/training/averaged.py",
        "            if norms:\n", "            if not norms:\n",
        "tests/minigrad/training/test_averaging.py::test_the_averaged_model_has_statistics_of_its_own",
    ),
    Mutant(
        "a confusion matrix on its side", "minigrad/training/plots.py",
        "axes.text(column, row, str(count)", "axes.text(row, column, str(count)",
        "tests/minigrad/training/test_plots.py::test_a_confusion_matrix_has_its_counts_in_their_places",
    ),
    Mutant(
        "averaged weights of another run are tested", "minigrad/commands/trained.py",
        "elif config.averaging and (run", "elif (run",
        "tests/minigrad/commands/test_evaluate.py::test_averaged_weights_that_are_not_the_runs_are_left_alone",
    ),
    Mutant(
        "whatever is transparent lies on white", "minigrad/data/image_files.py",
        'behind = "black" if', 'behind = "white" if',
        "tests/minigrad/commands/test_predict.py::test_clothes_cut_out_are_seen_whatever_their_colour",
    ),
    Mutant(
        "images are made ready otherwise than in training", "minigrad/training/evaluation.py",
        "BATCH_SIZE, **config.inputs, views", "BATCH_SIZE, config.image_size, config.in_channels, views",
        "tests/minigrad/commands/test_evaluate.py::test_images_are_made_ready_as_the_run_says",
    ),
    Mutant(
        "a signal is answered by a print", "minigrad/training/loop.py",
        "say_at_once(\"\\nstopping", "self.console.print(\"\\nstopping",
        "tests/minigrad/commands/test_train.py::test_ctrl_c_may_come_while_a_line_is_printed",
    ),
    Mutant(
        "held-out images are trained on", "minigrad/training/loop.py",
        "train = data.train_images[:kept][", "train = data.train_images[",
        "tests/minigrad/commands/test_settings.py::test_held_out_images_are_tested_on_and_not_trained_on",
    ),
    Mutant(
        "Numba's im2col forgets where its channels begin", "kernels/cuda/columns_numba.py",
        "x[n, h, w, first + c] if inside", "x[n, h, w, c] if inside",
        "tests/kernels/cuda/test_numba_twins.py::test_the_twins[cuda-standin-im2col_is_that_of_the_reference]",
    ),
    Mutant(
        "Numba's col2im overwrites", "kernels/cuda/columns_numba.py",
        "total += columns", "total = columns",
        "tests/kernels/cuda/test_numba_twins.py::test_the_twins[cuda-standin-col2im_is_that_of_the_reference]",
    ),
    Mutant(
        "the explorer keeps gradients that the walk adds to", "minigrad/explorer/record.py",
        "tuple(None if gradient is None else gradient.copy() for gradient in gradients)", "gradients",
        "tests/minigrad/explorer/test_record.py::"
        "test_gradients_are_kept_as_they_were_seen_though_the_walk_adds_to_them",
    ),
    Mutant(
        "the explorer shows another image's window", "minigrad/explorer/closer.py",
        "pool.exact(x[image]),", "pool.exact(x[0]),",
        "tests/minigrad/explorer/test_numbers.py::test_a_convolutions_window_times_its_weights_is_its_output",
    ),
    Mutant(
        "a proof compares at kinks too", "minigrad/explorer/proof.py",
        "        kinked_ever |= kinked", "        kinked = np.zeros_like(kinked)",
        "tests/minigrad/explorer/test_proof.py::test_ties_in_a_max_pool_are_left_out_and_the_others_are_right",
    ),
    Mutant(
        "a kink a little way off is taken for a curve", "minigrad/explorer/proof.py",
        "NEARER = (8, 64)", "NEARER = (64,)",
        "tests/minigrad/explorer/test_proof.py::test_kinks_a_little_way_off_are_left_out_wherever_they_are",
    ),
    Mutant(
        "a leaf's gradient is that of one use", "minigrad/explorer/contents.py",
        "_array(sum(grads[1:], grads[0]), ", "_array(grads[0], ",
        "tests/minigrad/explorer/test_record.py::test_what_a_leaf_receives_is_summed_over_its_uses",
    ),
    Mutant(
        "a damaged checkpoint is taken for a whole one", "minigrad/array_files.py",
        "header[CHECKSUM] != _checksum(arrays, others)", "not header[CHECKSUM]",
        "tests/minigrad/training/test_checkpoint.py::test_a_thousand_damages_are_each_seen_or_harmless",
    ),
    Mutant(
        "lines that a disk refuses are gone", "minigrad/training/run_files.py",
        "metrics.append(self.folder / name, lines[0])\n            del lines[0]",
        "metrics.append(self.folder / name, lines.pop(0))",
        "tests/minigrad/training/test_run_files.py::test_a_disk_that_breaks_for_a_while_costs_nothing",
    ),
    Mutant(
        "points that a disk refuses are gone", "minigrad/training/tensorboard.py",
        "files.append(self._path, b\"\".join(self._unwritten))\n        self._unwritten.clear()",
        "all_ = b\"\".join(self._unwritten)\n        self._unwritten.clear()\n        files.append(self._path, all_)",
        "tests/minigrad/commands/test_tensorboard.py::test_a_disk_that_is_full_for_a_while_costs_no_point",
    ),
    Mutant(
        "a new run writes through links", "minigrad/commands/train.py", "require_no_links(run)", "pass",
        "tests/minigrad/commands/test_train.py::test_a_new_run_writes_through_no_link_either[True]",
    ),
    Mutant(
        "anomalies are looked for in what comes in only", "minigrad/anomaly.py",
        "if found := _not_finite(output):", "if found := \"\":",
        "tests/minigrad/test_anomaly.py::test_forward_names_the_operation_its_module_and_the_line",
    ),
    Mutant(
        "a name may stand twice in a file", "minigrad/strict_json.py", "if name in result:", "if not name:",
        "tests/fuzz/test_readers.py::test_what_a_stranger_may_send_is_refused[weights, a name twice]",
    ),
    Mutant(
        "NaN in a file is let in", "minigrad/array_files.py",
        "if not np.isfinite(array).all():\n            raise ArrayFileError",
        "if array is None:\n            raise ArrayFileError",
        "tests/fuzz/test_readers.py::test_what_a_stranger_may_send_is_refused[weights, NaN]",
    ),
    Mutant(
        "nobody hangs up on a late answer", "minigrad/data/download.py", "late.result().close()", "late.result()",
        "tests/minigrad/data/test_download.py::test_an_answer_that_comes_too_late_is_hung_up_on",
    ),
    Mutant(
        "a picture is as large in memory as it says", "minigrad/data/image_files.py",
        "LARGEST_SIDE = 2048", "LARGEST_SIDE = 2**30",
        "tests/fuzz/test_readers.py::test_the_largest_picture_that_is_read_takes_bounded_memory[9000]",
    ),
    Mutant(
        "machine code is taken from anybody's folder", "kernels/cpu/jit.py",
        "os.access(parent / name, os.W_OK) and _is_ours(parent)", "os.access(parent / name, os.W_OK)",
        "tests/kernels/cpu/test_jit.py::test_machine_code_is_not_taken_from_folders_of_others[a link]",
    ),
    Mutant(
        "a gradient may have any shape", "minigrad/optim/optimizers.py",
        "(grad.shape, grad.dtype) != (data.shape, data.dtype)", "not grad.size",
        "tests/minigrad/test_faults.py::test_a_gradient_that_does_not_fit_changes_nothing[reference-gradient0-sgd]",
    ),
    Mutant(
        "a step counts before it is made", "minigrad/optim/optimizers.py",
        "grads = [live[index] for index in chosen]",
        "grads = [live[index] for index in chosen]\n            self._steps[chosen] += 1",
        "tests/minigrad/test_faults.py::test_a_fault_in_the_optimisers_kernel_changes_nothing[reference-adamw-adam_step]",
    ),
    Mutant(
        "each rank's loss counts as if it had the whole batch", "minigrad/training/loop.py",
        "self.gradients.backward(total.loss, len(y) / images)", "self.gradients.backward(total.loss, 1.0)",
        f"{RANKS}/test_same_run.py::test_the_first_ten_losses_are_one_processes[2]",
    ),
    Mutant(
        "each rank draws its dropout masks from image 0 on", "minigrad/training/loop.py",
        "with random.images_from(first):", "with random.images_from(0):",
        f"{RANKS}/test_same_run.py::test_the_first_ten_losses_are_one_processes[2]",
    ),
    Mutant(
        "each rank looks for the images itself", "minigrad/commands/ranks.py",
        "data = read() if world.rank == 0 else None", "data = read()",
        f"{RANKS}/test_same_run.py::test_the_first_ten_losses_are_one_processes[2]",
    ),
    Mutant(
        "PyTorch gets images of one channel in either format", "benchmarks/torch_memory.py",
        "return tensor.clone(memory_format=memory_format)", "return tensor.contiguous(memory_format=memory_format)",
        "tests/benchmarks/test_torch_memory.py::test_images_of_one_channel_have_strides_of_one_format[False]",
    ),
    Mutant(
        "gradients go only when backward is at its end", "minigrad/parallel/gradients.py",
        "not self.buckets[self._next].missing", "not any(bucket.missing for bucket in self.buckets)",
        f"{RANKS}/test_gradients.py::test_buckets_go_while_backward_still_runs",
    ),
    Mutant(
        "the mean of nothing spoils the loss", "minigrad/training/step_log.py",
        "if not len(target):", "if target is None:",
        f"{RANKS}/test_same_run.py::test_a_rank_may_have_no_image_of_the_last_batch",
    ),
    Mutant(
        "shared statistics are taken for constants in backward", "minigrad/ops/norm.py",
        "x_grad -= self._through_statistics(x, mean, variance, weight, weight_grad, bias_grad)", "pass",
        f"{RANKS}/test_same_run.py::test_shared_batch_statistics_are_one_processes[2-5]",
    ),
    Mutant(
        "waits have no limit", "minigrad/parallel/mpi.py",
        "if waited > limit:", "if waited > limit + 5:",
        f"{RANKS}/test_world.py::TestMpi::test_a_wait_has_a_limit",
    ),
    Mutant(
        "who writes files is waited for no longer than who trains", "minigrad/training/loop.py",
        "                with self.world.patiently():", "                with nullcontext():",
        f"{RANKS}/test_ends.py::test_a_rank_that_is_long_at_its_files_is_waited_for",
    ),
    Mutant(
        "shared statistics hide whose images are not finite", "minigrad/training/together.py",
        " + (origin is not None)", "",
        f"{RANKS}/test_ends.py::test_a_loss_that_is_not_finite_is_told_by_the_rank_that_had_it[normalised-conv-more1-1]",
    ),
    Mutant(
        "an error ends one rank alone", "minigrad/commands/__init__.py",
        "    world.end(status)\n    return status", "    return status",
        f"{RANKS}/test_ends.py::test_an_error_of_one_rank_is_told_and_ends_all[1]",
    ),
    Mutant(
        "a resumed run leaves the other ranks at the beginning", "minigrad/training/loop.py",
        "self.position = together.take_over(self.world, self.position, self.model, self.optimizer, self.average)",
        "self.position = together.take_over(self.world, self.position)",
        f"{RANKS}/test_same_run.py::test_a_checkpoint_of_some_ranks_resumes_on_others[0-2]",
    ),
    Mutant(
        "cards do not wait for each other's sums", "minigrad/parallel/nccl.py",
        "cupy.cuda.get_current_stream().wait_event(self._last)", "pass",
        f"{RANKS}/test_cards.py::test_sums_go_beside_backward_and_are_waited_for",
    ),
]  # fmt: skip
