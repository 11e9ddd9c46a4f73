"""Rates in windows, the share of time that the GPU is busy, and seconds to an accuracy."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from typing import Any

import torch

from benchmarks.gpu.data import Size

try:
    import pynvml
except ImportError:  # nvidia-ml-py: without it that column stays empty
    pynvml = None

NVML_EVERY_S = 0.05
PROFILED_STEPS = 20


class Finished(Exception):
    """Everything is measured: leave the training loop."""


class Stopwatch:
    """Images per second in windows after a warm-up, then some steps under a profiler."""

    def __init__(self, device: torch.device, size: Size) -> None:
        self.rates: list[float] = []
        self.busy: float | None = None
        self.in_kernels: float | None = None
        self._device, self._size = device, size
        self._steps, self._images = 0, 0
        self._began: float | None = None  # of the window; None while warming up
        self._first = 0.0
        self._utilisation = _Utilisation(device)
        self._profiler: Any = None

    def tick(self, images: int) -> None:
        """One optimiser step was queued.

        Raises:
            Finished: there is nothing left to measure.
        """
        self._steps += 1
        if self._profiler is not None:
            if self._steps == PROFILED_STEPS:
                with contextlib.suppress(RuntimeError, AttributeError):
                    self._read_profile()
                raise Finished
            return
        now = time.perf_counter()
        if self._steps == 1:
            self._first = now
        if self._began is None:
            if (
                self._steps >= self._size.warm_up_steps
                and now - self._first >= self._size.warm_up_s
            ):
                self._utilisation.start()
                self._open()
            return
        self._images += images
        if now - self._began < self._size.window_s:
            return
        wait(self._device)
        self.rates.append(self._images / (time.perf_counter() - self._began))
        if len(self.rates) < self._size.windows:
            self._open()
            return
        self.busy = self._utilisation.stop()
        if self._device.type != "cuda":
            raise Finished
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        try:
            self._profiler.start()
        except RuntimeError as error:  # the rates are worth having without it
            print(f"    no profile: {error}", flush=True)
            raise Finished from error
        wait(self._device)
        self._began, self._steps = time.perf_counter(), 0

    def close(self) -> None:
        """Stop sampling, also where the loop has failed."""
        self._utilisation.stop()

    def _open(self) -> None:
        wait(self._device)
        self._began, self._images = time.perf_counter(), 0

    def _read_profile(self) -> None:
        assert self._began is not None
        wait(self._device)
        seconds = time.perf_counter() - self._began
        self._profiler.stop()
        spans = sorted(
            (event.time_range.start, event.time_range.end)
            for event in self._profiler.events()
            if event.device_type.name == "CUDA"
        )
        covered, until = 0.0, 0.0
        for start, end in spans:
            covered += max(0.0, end - max(start, until))
            until = max(until, end)
        if spans:
            self.in_kernels = covered / 1e6 / seconds


class _Utilisation:
    """Mean of NVML's utilisation between start and stop, 0 to 1; None where there is no NVML."""

    def __init__(self, device: torch.device) -> None:
        self._on = pynvml is not None and device.type == "cuda"
        self._stop = threading.Event()
        self._found: list[int] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> None:
        if self._on:
            self._thread.start()

    def stop(self) -> float | None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        return statistics.mean(self._found) / 100 if self._found else None

    def _sample(self) -> None:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not self._stop.wait(NVML_EVERY_S):
            self._found.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


class Race:
    """Seconds and accuracy after each evaluation, until the goal or the limit."""

    def __init__(self, size: Size) -> None:
        self.readings: list[tuple[float, float]] = []
        self._size, self._started = size, time.perf_counter()

    def judge(self, share: float) -> None:
        """Held-out images were judged.

        Raises:
            Finished: well enough, or too late.
        """
        seconds = self.elapsed_s
        self.readings.append((seconds, share))
        if share >= self._size.goal or seconds > self._size.limit_s:
            raise Finished

    @property
    def elapsed_s(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._started

    @property
    def seconds(self) -> float | None:
        """When the goal was reached."""
        good = (seconds for seconds, share in self.readings if share >= self._size.goal)
        return next(good, None)


def wait(device: torch.device) -> None:
    """Let the device finish what is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize()
