/// The host's ids that stand for 0..<size in an instance's user namespace (user_namespaces(7)): a range of them, and
/// for some ids others of the host's.
public struct IDRange: Sendable, Hashable, Codable {
    public var base: UInt32
    public var size: UInt32
    /// Ids that do not stand for their place in the range; nil: none.
    public var exceptions: [IDException]?

    public init(base: UInt32, size: UInt32 = 65536, exceptions: [IDException]? = nil) {
        self.base = base
        self.size = size
        self.exceptions = exceptions
    }

    public enum Kind: String, Sendable, CaseIterable {
        case user = "uid"
        case group = "gid"
    }

    /// Ids that follow each other on both sides.
    public struct Extent: Sendable, Hashable {
        public var inside: UInt32
        public var outside: UInt32
        public var count: UInt32
    }

    /// The whole mapping, in the order of the ids inside.
    public func extents(_ kind: Kind) -> [Extent] {
        var result: [Extent] = []
        var next: UInt32 = 0
        func range(to end: UInt32) {
            if end > next { result.append(Extent(inside: next, outside: base + next, count: end - next)) }
        }
        let own = (exceptions ?? []).filter { $0.kinds.contains(kind) }
        for exception in own.sorted(by: { $0.inside < $1.inside }) {
            range(to: exception.inside)
            result.append(
                Extent(inside: exception.inside, outside: exception.outside, count: exception.count))
            next = exception.inside + exception.count
        }
        range(to: size)
        return result
    }

    /// The mapping as the kernel is told it: lines of `inside outside count`.
    public func kernelMap(_ kind: Kind) -> String {
        extents(kind).map { "\($0.inside) \($0.outside) \($0.count)\n" }.joined()
    }

    /// The id inside that a host's id is; nil if the instance has no such id.
    public func inside(_ id: UInt32, _ kind: Kind) -> UInt32? {
        guard exceptions != nil else { return id >= base && id - base < size ? id - base : nil }
        return extents(kind).first { id >= $0.outside && id - $0.outside < $0.count }
            .map { $0.inside + (id - $0.outside) }
    }

    /// The host's id that stands for an id inside; nil if the instance has no such id.
    public func outside(_ id: UInt32, _ kind: Kind) -> UInt32? {
        guard exceptions != nil else { return id < size ? base + id : nil }
        return extents(kind).first { id >= $0.inside && id - $0.inside < $0.count }
            .map { $0.outside + (id - $0.inside) }
    }

    /// The host's ids that stand for the instance's root user and its group.
    public var root: (user: UInt32, group: UInt32) {
        (outside(0, .user) ?? base, outside(0, .group) ?? base)
    }
}

/// Host's ids that an instance has beside those of its own range, as `raw.idmap` gives them.
public struct IDException: Sendable, Hashable, Codable {
    public var isUser: Bool
    public var isGroup: Bool
    public var outside: UInt32
    public var inside: UInt32
    public var count: UInt32

    public var kinds: [IDRange.Kind] { (isUser ? [.user] : []) + (isGroup ? [.group] : []) }

    /// The kernel takes 340 lines of a mapping (user_namespaces(7)); each exception can split the range once.
    static let most = 160

    /// Reads lines of `both|uid|gid HOST INSTANCE`, where the two are numbers or ranges `FIRST-LAST` of one length:
    /// LXD's `raw.idmap`.
    /// - Throws: `invalidArgument` naming the line that is wrong.
    public static func parse(_ text: String, size: UInt32 = 65536) throws -> [IDException] {
        var result: [IDException] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ")
            if words.isEmpty { continue }
            func wrong(_ why: String) -> EngineError {
                EngineError(
                    .invalidArgument, "raw.idmap: \(Names.quoted(String(line))) \(why)",
                    hint:
                        "write lines as 'both 1000 1000', 'uid 1000 0' or 'gid 50-59 500-509': first the host's, then the instance's"
                )
            }
            guard words.count == 3, let outside = range(words[1]), let inside = range(words[2]),
                ["both", "uid", "gid"].contains(words[0])
            else { throw wrong("is no mapping") }
            guard outside.count == inside.count else { throw wrong("has ranges of different lengths") }
            guard inside.upperBound < size else { throw wrong("is beyond the instance's ids, 0 to \(size - 1)") }
            guard outside.lowerBound > 0 else { throw wrong("would give the instance the host's root user") }
            let made = IDException(
                isUser: words[0] != "gid", isGroup: words[0] != "uid", outside: outside.lowerBound,
                inside: inside.lowerBound, count: UInt32(outside.count))
            if let other = result.first(where: { made.overlaps($0) }) {
                throw wrong("speaks of ids of another line, \(other.inside) inside and \(other.outside) outside")
            }
            result.append(made)
            guard result.count <= most else { throw wrong("is one too many: at most \(most) are taken") }
        }
        return result
    }

    /// Reads `FIRST-LAST,ID,…`; nil if it is none.
    public static func ranges(_ text: String) -> [ClosedRange<UInt32>]? {
        var result: [ClosedRange<UInt32>] = []
        for part in text.split(separator: ",") {
            guard let range = range(part) else { return nil }
            result.append(range)
        }
        return result
    }

    private static func range(_ text: Substring) -> ClosedRange<UInt32>? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let first = parts.first, let low = UInt32(first), parts.count <= 2,
            let high = UInt32(parts.last ?? first),
            low <= high, high < UInt32.max
        else { return nil }
        return low...high
    }

    private func overlaps(_ other: IDException) -> Bool {
        guard isUser && other.isUser || isGroup && other.isGroup else { return false }
        func meet(_ one: UInt32, _ two: UInt32) -> Bool {
            UInt64(one) < UInt64(two) + UInt64(other.count) && UInt64(two) < UInt64(one) + UInt64(count)
        }
        return meet(inside, other.inside) || meet(outside, other.outside)
    }
}
