# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Object stores (S3, Google Cloud Storage and others in fsspec), mirrored in a local folder.

Every program works on local paths. An object has one local path, its mirror; `mirror` fetches what
is needed to it and uploads what is finished from it. While paths are local, nothing here imports
fsspec or a store's client.
"""
