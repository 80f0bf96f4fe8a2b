"""New."""

Int32Array = NDArray[np.int32]


Float64Array = NDArray[np.float64]


BoolArray = NDArray[np.bool_]


Float32Array = NDArray[np.float32]


Int64Array = NDArray[np.int64]


UInt8Array = NDArray[np.uint8]


UInt8Array = NDArray[np.uint8]
