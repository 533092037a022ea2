/// Finds a sequence of keys in what is typed, such as Docker's ctrl-p ctrl-q, and holds back its beginning until
/// it is clear whether the rest follows.
public struct DetachKeys: Sendable, Hashable {
    private let sequence: [UInt8]
    private var matched = 0

    /// ctrl-p ctrl-q.
    public static let docker = DetachKeys(sequence: [0x10, 0x11])
    /// ctrl-a q, as consoles have it.
    public static let console = DetachKeys(sequence: [0x01, UInt8(ascii: "q")])

    private init(sequence: [UInt8]) { self.sequence = sequence }

    /// Reads a comma-separated list of single characters and `ctrl-X`; nil if it is none.
    public init?(_ text: String) {
        var sequence: [UInt8] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let bytes = Array(part.utf8)
            if bytes.count == 1 {
                sequence.append(bytes[0])
            } else if part.hasPrefix("ctrl-"), bytes.count == 6, let last = bytes.last,
                (64...127).contains(last)
            {
                sequence.append(last & 0x1F)
            } else {
                return nil
            }
        }
        guard !sequence.isEmpty else { return nil }
        self.init(sequence: sequence)
    }

    /// What of `typed` is to be passed on, and whether the sequence is complete; what follows it is dropped.
    public mutating func pass(_ typed: [UInt8]) -> (bytes: [UInt8], detach: Bool) {
        var out: [UInt8] = []
        for byte in typed {
            if byte == sequence[matched] {
                matched += 1
                if matched == sequence.count { return (out, true) }
            } else {
                out += sequence[..<matched]
                matched = byte == sequence[0] ? 1 : 0
                if matched == 0 { out.append(byte) }
            }
        }
        return (out, false)
    }
}
