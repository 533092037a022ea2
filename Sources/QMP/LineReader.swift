import Model

/// Cuts a stream of bytes into lines of bounded length.
public struct LineReader {
    private var buffer: [UInt8] = []
    private let limit: Int

    public init(limit: Int) { self.limit = limit }

    /// Takes bytes and gives the lines that are complete now, without their ends.
    /// - Throws: `unavailable` when a line exceeds the bound.
    public mutating func append(_ bytes: [UInt8]) throws -> [[UInt8]] {
        buffer.append(contentsOf: bytes)
        var lines: [[UInt8]] = []
        var start = 0
        while let end = buffer[start...].firstIndex(of: 10) {
            if end - start > limit { throw tooLong }
            let line = buffer[start..<end]
            lines.append(Array(line.last == 13 ? line.dropLast() : line))
            start = end + 1
        }
        buffer.removeFirst(start)
        if buffer.count > limit { throw tooLong }
        return lines
    }

    private var tooLong: EngineError {
        EngineError(.unavailable, "the peer sent a line of more than \(limit) bytes")
    }
}
