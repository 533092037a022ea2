import Glibc

extension String {
    /// The system's sentence for an error number, as `No such file or directory`.
    public init(errno number: Int32) {
        var buffer = [CChar](repeating: 0, count: 256)
        // Swift sees the POSIX variant, which fills the buffer for unknown numbers too.
        _ = strerror_r(number, &buffer, buffer.count)
        self = buffer.withUnsafeBufferPointer { bytes in
            String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
