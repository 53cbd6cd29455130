"""Every kernel in plain NumPy, written to be read: the definition of right, for float32 and float64."""

from kernels.reference.activation import (
    log_softmax as log_softmax,
    log_softmax_backward as log_softmax_backward,
    relu as relu,
    relu_backward as relu_backward,
    softmax as softmax,
    softmax_backward as softmax_backward,
)
from kernels.reference.conv import (
    channel_sum as channel_sum,
    conv2d as conv2d,
    conv2d_input_grad as conv2d_input_grad,
    conv2d_weight_grad as conv2d_weight_grad,
)
from kernels.reference.dropout import dropout as dropout
from kernels.reference.linear import (
    linear as linear,
    linear_input_grad as linear_input_grad,
    linear_weight_grad as linear_weight_grad,
)
from kernels.reference.loss import (
    cross_entropy as cross_entropy,
    cross_entropy_backward as cross_entropy_backward,
    cross_entropy_target_grad as cross_entropy_target_grad,
)
from kernels.reference.norm import (
    batch_norm as batch_norm,
    batch_norm_backward as batch_norm_backward,
    batch_statistics as batch_statistics,
    local_response_norm as local_response_norm,
    local_response_norm_backward as local_response_norm_backward,
)
from kernels.reference.optim import adam_step as adam_step, sgd_step as sgd_step
from kernels.reference.pool import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward as adaptive_avg_pool2d_backward,
    avg_pool2d as avg_pool2d,
    avg_pool2d_backward as avg_pool2d_backward,
    max_pool2d as max_pool2d,
    max_pool2d_backward as max_pool2d_backward,
)
from kernels.reference.resize import resize_bilinear as resize_bilinear
from kernels.reference.shape import cat as cat, pad as pad, split as split
