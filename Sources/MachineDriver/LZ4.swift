import Model

/// Decodes the legacy LZ4 frame in which Linux kernels are packed (lz4_Frame_format.md, "Legacy frame"): a magic number,
/// then blocks of at most 8 MiB each with its packed size in front.
enum LZ4 {
    static let legacyMagic: [UInt8] = [0x02, 0x21, 0x4c, 0x18]
    private static let blockLimit = 8 << 20

    /// The unpacked bytes, at most `limit`. A last number that is not a block's size is the kernel's own note of the
    /// unpacked size and ends the data.
    static func decodeLegacy(_ input: [UInt8], limit: Int) throws -> [UInt8] {
        guard input.starts(with: legacyMagic) else { throw damaged("no LZ4 magic number") }
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, input.count * 4))
        var block = [UInt8](repeating: 0, count: blockLimit)
        var position = 4
        while position + 4 <= input.count {
            let size = (0..<4).reduce(0) { $0 | Int(input[position + $1]) << (8 * $1) }
            position += 4
            guard size > 0, position + size <= input.count else { break }
            let written = try block.withUnsafeMutableBytes { target in
                try input.withUnsafeBytes { source in
                    try decodeBlock(
                        UnsafeRawBufferPointer(rebasing: source[position..<(position + size)]), into: target)
                }
            }
            output.append(contentsOf: block[..<written])
            guard output.count <= limit else { throw damaged("more than \(limit) bytes") }
            position += size
        }
        return output
    }

    /// One block (lz4_Block_format.md): sequences of literals and of copies of what was written before.
    private static func decodeBlock(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) throws
        -> Int
    {
        var read = 0
        var write = 0
        func length(_ nibble: Int) throws -> Int {
            guard nibble == 15 else { return nibble }
            var total = 15
            while true {
                guard read < source.count else { throw damaged("a length is cut off") }
                let byte = Int(source[read])
                read += 1
                total += byte
                if byte != 255 { return total }
            }
        }
        while read < source.count {
            let token = Int(source[read])
            read += 1
            let literals = try length(token >> 4)
            guard read + literals <= source.count, write + literals <= target.count else {
                throw damaged("literals exceed the block")
            }
            if literals > 0, let to = target.baseAddress, let from = source.baseAddress {
                (to + write).copyMemory(from: from + read, byteCount: literals)
            }
            read += literals
            write += literals
            if read == source.count { return write }
            guard read + 2 <= source.count else { throw damaged("an offset is cut off") }
            let offset = Int(source[read]) | Int(source[read + 1]) << 8
            read += 2
            let count = try length(token & 15) + 4
            guard offset > 0, offset <= write, write + count <= target.count else {
                throw damaged("a copy reaches outside the block")
            }
            copy(target, from: write - offset, to: write, count: count)
            write += count
        }
        return write
    }

    /// Source and target may overlap, and then the bytes repeat.
    private static func copy(_ target: UnsafeMutableRawBufferPointer, from: Int, to: Int, count: Int) {
        guard let base = target.baseAddress else { return }
        var done = 0
        while done < count {
            let step = min(count - done, to - from + done)
            (base + to + done).copyMemory(from: base + from, byteCount: step)
            done += step
        }
    }

    private static func damaged(_ what: String) -> EngineError {
        EngineError(.invalidArgument, "the packed kernel is damaged: \(what)")
    }
}
