"""Answers every request with the number of requests that ran together."""

import time

import numpy
import triton_python_backend_utils as triton


class TritonPythonModel:
    """A model whose batches last 5 ms and 2 ms for each request."""

    def execute(self, requests):
        """Runs one batch."""
        time.sleep((5 + 2 * len(requests)) / 1000)
        answer = numpy.full((1, 1), len(requests), dtype=numpy.int32)
        return [
            triton.InferenceResponse(output_tensors=[triton.Tensor("batch", answer)])
            for _ in requests
        ]
