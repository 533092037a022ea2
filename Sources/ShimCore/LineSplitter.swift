/// Cuts one stream of bytes into the entries of a log: at line feeds, and where a line is longer than
/// `LineSplitter.maxLine`. What follows the last line feed is held until more comes or `flush` is called.
public struct LineSplitter {
    /// Bytes of text in one entry at most, as CRI-O and containerd have it.
    public static let maxLine = 16 << 10

    private var held: [UInt8] = []

    public init() {}

    /// Whether bytes wait for the end of their line.
    public var isHolding: Bool { !held.isEmpty }

    /// Takes bytes, and calls `entry` with the text of each entry that is complete, and whether it ends a line.
    public mutating func feed(
        _ bytes: UnsafeRawBufferPointer, _ entry: (_ text: ArraySlice<UInt8>, _ whole: Bool) -> Void
    ) {
        var start = 0
        while start < bytes.count {
            let room = Self.maxLine - held.count
            let limit = min(bytes.count, start + room)
            var end = start
            while end < limit, bytes[end] != 0x0A { end += 1 }
            held.append(contentsOf: bytes[start..<end])
            if end < bytes.count, bytes[end] == 0x0A {
                entry(held[...], true)
                held.removeAll(keepingCapacity: true)
                start = end + 1
            } else {
                start = end
                if held.count == Self.maxLine, start < bytes.count {
                    entry(held[...], false)
                    held.removeAll(keepingCapacity: true)
                }
            }
        }
    }

    /// Gives out what is held as a part of a line.
    public mutating func flush(_ entry: (_ text: ArraySlice<UInt8>, _ whole: Bool) -> Void) {
        guard !held.isEmpty else { return }
        entry(held[...], false)
        held = []
    }
}
