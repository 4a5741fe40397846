# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Optimizers, learning rate schedules, loss scaling and weight averages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf

# Micikevicius et al., arXiv 1710.03740, and Keras' LossScaleOptimizer.
_INITIAL = 2.0**15

_GROWTH_STEPS = 2000

# Substrings in the names of variables that Adam does not decay.
_NOT_DECAYED = ("bias", "gamma", "beta")


class LossScale:
    """The factor by which the loss is multiplied before differentiation.

    It is halved when a gradient overflows, which skips that step, and doubled after 2000 steps
    without an overflow.

    Args:
      initial: the first scale.
      growth_steps: number of steps without overflow after which the scale is doubled.
    """

    def __init__(self, initial: float = _INITIAL, growth_steps: int = _GROWTH_STEPS):
        self._growth_steps = growth_steps
        self.scale = _variable(initial, tf.float32)
        self.good_steps = _variable(0, tf.int64)
        self.variables = [self.scale, self.good_steps]

    def update(self, finite: tf.Tensor) -> None:
        """Update the scale after a step, in replica context."""
        scale, good = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.good_steps)
        grow = good + 1 >= self._growth_steps
        higher = tf.where(grow, scale * 2.0, scale)
        # A doubling beyond float32's range would be permanent.
        higher = tf.where(tf.math.is_finite(higher), higher, scale)
        self.scale.assign(tf.where(finite, higher, tf.maximum(scale / 2.0, 1.0)))
        self.good_steps.assign(tf.where(finite & ~grow, good + 1, 0))


def _variable(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(
        value,
        trainable=False,
        dtype=dtype,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


@keras.saving.register_keras_serializable("mmv_tf")
class Adam(keras.optimizers.Optimizer):
    """Adam and AdamW with TensorFlow's kernel: one operation per variable.

    Keras' Adam needs a dozen, each a pass over memory or the scheduling of a scalar: 127 ms of CPU
    time for 470 variables with 36 M values, where this takes 51 ms. The state is the same, so
    checkpoints work with both; the values differ in the last bits.

    Args:
      learning_rate: a number or a schedule.
      beta_1, beta_2, epsilon: as in Keras' Adam.
      decay: decoupled weight decay, relative to the learning rate (Loshchilov and Hutter, 2019).
        Biases and the scales and offsets of batch norm are excluded.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        decay: float = 0.0,
        name: str = "adam",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.decay = decay

    def build(self, variables: list[Any]) -> None:
        """Create two moments for each variable."""
        if self.built:
            return
        super().build(variables)
        names = ["momentum", "velocity"]
        self.momentums, self.velocities = self.add_optimizer_variables(variables, names)

    def start_step(self) -> None:
        """Compute the powers of the betas, once for all variables; call before `update_step`."""
        step = tf.cast(self.iterations + 1, tf.float32)
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Any = None) -> None:
        """Update all variables."""
        self.start_step()
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        rate = tf.cast(learning_rate, dtype)
        if self.decay and not any(part in variable.name for part in _NOT_DECAYED):
            variable.assign_sub(variable * tf.cast(self.decay, dtype) * rate)
        beta_1_power, beta_2_power = (tf.cast(power, dtype) for power in self._powers)
        # The handles belong to the replica that is updated.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self.momentums[index].value.handle,
            v=self.velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "decay")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("mmv_tf")
class LARS(keras.optimizers.Optimizer):
    """Momentum with each layer's step scaled by the norm of its weights.

        g' = g + decay * w
        v <- momentum * v + learning_rate * trust * |w| / (|g| + decay * |w|) * g'
        w <- w - v

    Vectors and scalars (biases, and the scales and offsets of batch norm) use plain momentum,
    without decay or scaling, as is usual.

    Args:
      learning_rate: a number or a schedule.
      momentum: in [0, 1).
      decay: weight decay; part of the gradient, unlike AdamW's.
      trust: scaling coefficient, "eta" in the paper.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        decay: float = 0.0,
        trust: float = 1e-3,
        name: str = "lars",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.decay = decay
        self.trust = trust

    def build(self, variables: list[Any]) -> None:
        """Create one velocity for each variable."""
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Apply one step to a variable."""
        velocity = self.velocities[self._get_variable_index(variable)]
        rate = tf.cast(learning_rate, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype)
        if variable.shape.rank > 1:
            weight_norm, gradient_norm = tf.norm(variable), tf.norm(gradient)
            divisor = gradient_norm + self.decay * weight_norm
            usable = (weight_norm > 0) & (divisor > 0)
            rate *= tf.where(usable, self.trust * weight_norm / tf.where(usable, divisor, 1.0), 1.0)
            gradient += self.decay * variable
        step = self.momentum * tf.convert_to_tensor(velocity) + rate * gradient
        self.assign(velocity, step)
        self.assign_sub(variable, step)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        own = {"momentum": self.momentum, "decay": self.decay, "trust": self.trust}
        return {**super().get_config(), **own}


class WeightAverages:
    """Exponential moving averages of weights.

    averages <- decay * averages + (1 - decay) * weights, after each step. The decay increases to
    its value as (1 + steps) / (10 + steps), so that the random initial weights are soon forgotten.

    Args:
      weights: trainable variables.
      decay: decay in (0, 1), such as 0.999.

    Raises:
      ValueError: the decay is out of range.
    """

    def __init__(self, weights: Sequence[tf.Variable], decay: float):
        if not 0.0 < decay < 1.0:
            raise ValueError(f"average_decay is {decay}; it must be between 0 and 1.")
        self._weights = list(weights)
        self._decay = decay
        self.variables = [
            tf.Variable(
                weight.numpy(),
                trainable=False,
                dtype=weight.dtype,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for weight in self._weights
        ]

    def update(self, step: tf.Tensor) -> None:
        """Add the weights after `step` steps to the averages; called in replica context."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.variables, self._weights, strict=True):
            old = tf.convert_to_tensor(average)
            average.assign(old - (1.0 - decay) * (old - tf.convert_to_tensor(weight)))

    @contextlib.contextmanager
    def in_place_of_weights(self) -> Iterator[None]:
        """Set the model's weights to the averages within the block, and restore them afterwards."""
        weights = [weight.numpy() for weight in self._weights]
        self.put_in_place()
        try:
            yield
        finally:
            for variable, weight in zip(self._weights, weights, strict=True):
                variable.assign(weight)

    def put_in_place(self) -> None:
        """Set the model's weights to the averages permanently."""
        for variable, average in zip(self._weights, self.variables, strict=True):
            variable.assign(average.numpy())


OPTIMIZERS = ("adam", "adamw", "lars")


def apply_summed(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[Any],
    multiples: Sequence[float] | None = None,
) -> None:
    """Apply gradients that are already summed over the replicas.

    `optimizer.apply` would sum them once more. Call this in replica context.

    Args:
      optimizer: a built optimizer, of which only `update_step` is used.
      gradients: one gradient per variable, the same on all replicas.
      variables: `keras.Variable`s, trainable.
      multiples: multiples of the learning rate, one per variable; None for 1.
    """
    factors = [1.0] * len(variables) if multiples is None else multiples

    def update_all(strategy: Any, gradients: Any, rate: Any) -> None:
        if isinstance(optimizer, Adam):
            optimizer.start_step()

        def update(variable: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor) -> None:
            optimizer.update_step(gradient, variable, rate)

        for variable, gradient, factor in zip(variables, gradients, factors, strict=True):
            arguments = (gradient, rate if factor == 1.0 else rate * factor)
            strategy.extended.update(variable.value, update, args=arguments, group=False)

    context = tf.distribute.get_replica_context()
    context.merge_call(update_all, args=(list(gradients), optimizer.learning_rate))
    for variable in variables:
        if variable.constraint is not None:
            variable.assign(variable.constraint(variable))
    optimizer.iterations.assign_add(1)


def check_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Reject settings that `apply_summed` would ignore.

    Raises:
      ValueError: the optimizer decays weights, clips gradients, averages weights or accumulates
        gradients with Keras' own code.
    """
    names = ["weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "loss_scale_factor"]
    names += ["use_ema", "gradient_accumulation_steps"]
    found = [name for name in names if getattr(optimizer, name, None)]
    if found:
        raise ValueError(
            f"The optimizer sets {', '.join(found)}; use the config's optimizer.weight_decay and "
            "optimizer.clip_norm, and training.average_decay and training.accumulate."
        )


def default_config() -> ml_collections.ConfigDict:
    """Return the default settings; comments give the sources of the values."""
    return ml_collections.ConfigDict(
        {
            # MMV (Alayrac et al., 2020): Adam, 0.002, 5,000 steps of warm-up, half a cosine period.
            # Weight decay makes "adam" AdamW; "adamw" is another name for the same.
            "name": "adam",
            "learning_rate": 2e-3,
            "warmup_steps": 5_000,
            # The rest was not published: Keras' Adam, no decay, no clipping.
            "weight_decay": 0.0,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-7,
            "clip_norm": 0.0,
            # Only for LARS; the values are from its paper.
            "momentum": 0.9,
            "trust": 1e-3,
        }
    )


def make_schedule(
    config: ml_collections.ConfigDict, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule: linear warm-up to `learning_rate`, then half a cosine to 0 at `steps`."""
    steps = max(steps, 1)  # a run without steps writes its initial weights
    warmup = min(config.warmup_steps, steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def make_optimizer(config: ml_collections.ConfigDict, steps: int) -> keras.optimizers.Optimizer:
    """Return Adam, AdamW or LARS; weight decay excludes biases and batch norm.

    The optimizer does not clip: it would clip each replica's gradient before the sum.

    Args:
      config: see `default_config`.
      steps: step at which the learning rate reaches 0.

    Raises:
      ValueError: the name is unknown.
    """
    if config.name not in OPTIMIZERS:
        raise ValueError(f"optimizer.name is {config.name!r}; use one of {OPTIMIZERS}.")
    schedule = make_schedule(config, steps)
    if config.name == "lars":
        return LARS(schedule, config.momentum, config.weight_decay, config.trust)
    return Adam(schedule, config.beta_1, config.beta_2, config.epsilon, config.weight_decay)
