import Glibc
import Model

/// How large a pool is.
public struct PoolSpace: Sendable, Hashable {
    /// Bytes.
    public var total: Int64
    public var used: Int64
    /// What may still be written by the daemon's user.
    public var free: Int64
    /// 0 where the filesystem has no such bound.
    public var inodesTotal: Int64
    public var inodesUsed: Int64

    public init(total: Int64, used: Int64, free: Int64, inodesTotal: Int64 = 0, inodesUsed: Int64 = 0) {
        self.total = total
        self.used = used
        self.free = free
        self.inodesTotal = inodesTotal
        self.inodesUsed = inodesUsed
    }

    /// Of the filesystem that `path` is on: statvfs(3).
    public static func of(_ path: String) throws -> PoolSpace {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else {
            throw EngineError(.internal, "the size of \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        let block = Int64(info.f_frsize)
        return PoolSpace(
            total: Int64(info.f_blocks) * block, used: Int64(info.f_blocks - info.f_bfree) * block,
            free: Int64(info.f_bavail) * block, inodesTotal: Int64(info.f_files),
            inodesUsed: Int64(info.f_files - info.f_ffree))
    }
}

/// Sizes as users write them, in configuration of storage.
public enum StorageSize {
    /// Bytes of `20GiB`, `20GB`, `512MiB`, `1048576`; nil if it is none.
    public static func bytes(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        let factors: [String: Int64] = [
            "": 1, "b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000, "kib": 1 << 10,
            "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
        ]
        guard let factor = factors[text.dropFirst(digits.count).lowercased()] else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }
}
