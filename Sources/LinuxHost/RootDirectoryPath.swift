/// A path or file name as Linux has it: any bytes but NUL, not necessarily UTF-8.
///
/// A name that came from a folder or an archive must be used byte for byte: as a `String`, a name in another
/// encoding would turn into a different name.
public struct HostPath: Sendable, Hashable {
    /// With the terminating NUL.
    private let storage: ContiguousArray<CChar>

    /// The path made of `bytes`; they end at the first NUL, if there is one.
    public init(bytes: some Sequence<UInt8>) {
        var storage = ContiguousArray(bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) })
        storage.append(0)
        self.storage = storage
    }

    public init(_ text: String) { self.init(bytes: text.utf8) }

    init(cString: UnsafePointer<CChar>) {
        var count = 0
        while cString[count] != 0 { count += 1 }
        storage = ContiguousArray(UnsafeBufferPointer(start: cString, count: count + 1))
    }

    /// Without the NUL.
    public var bytes: [UInt8] { storage.dropLast().map { UInt8(bitPattern: $0) } }

    /// For messages and for names known to be UTF-8; other bytes show as U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public var isEmpty: Bool { storage.count <= 1 }

    func withCString<T>(_ body: (UnsafePointer<CChar>) throws -> T) rethrows -> T {
        try storage.withUnsafeBufferPointer { buffer in
            // A buffer with at least the NUL always has an address.
            guard let base = buffer.baseAddress else { return try withUnsafePointer(to: 0) { try body($0) } }
            return try body(base)
        }
    }

    /// The names between slashes, without empty ones and `.`.
    public var components: [HostPath] {
        bytes.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }.map { HostPath(bytes: $0) }
    }

    /// This path with `name` below it.
    public func appending(_ name: some HostPathConvertible) -> HostPath {
        let name = name.hostPath
        return isEmpty ? name : HostPath(bytes: bytes + [UInt8(ascii: "/")] + name.bytes)
    }

    static let parent = HostPath("..")
    static let current = HostPath(".")
}

/// What can name a file: text, or raw bytes.
public protocol HostPathConvertible: Sendable {
    var hostPath: HostPath { get }
}

extension HostPath: HostPathConvertible {
    public var hostPath: HostPath { self }
}

extension String: HostPathConvertible {
    public var hostPath: HostPath { HostPath(self) }
}

extension HostPath: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self.init(value) }
}
