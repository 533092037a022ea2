import LinuxHost

/// Small files of /proc and /sys.
enum KernelFile {
    /// The first line; nil if there is no such file, or it is not for reading.
    static func text(_ path: String) -> String? {
        guard let bytes = try? readSmallFile(path, limit: 1 << 16) else { return nil }
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    /// All lines; none if there is no such file.
    static func lines(_ path: String) -> [Substring] {
        guard let bytes = try? readSmallFile(path, limit: 1 << 22) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    static func number(_ path: String) -> Int64? { text(path).flatMap { Int64($0) } }

    /// Hexadecimal digits without `0x`.
    static func hexadecimal(_ path: String) -> String {
        let value = text(path) ?? ""
        return value.hasPrefix("0x") ? String(value.dropFirst(2)) : value
    }
}
