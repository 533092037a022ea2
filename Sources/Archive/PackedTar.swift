public import LinuxHost
public import Model

/// A tar that is written into a file member by member, compressed on the way. To be used from one thread.
public final class PackedTar {
    public let writer: TarWriter
    private let sink: CompressingSink

    /// `name` is for messages; `level` is how hard the compressor tries, nil for the usual.
    public init(_ file: OwnedDescriptor, name: String, compression: Compression, level: Int? = nil) throws {
        let sink = try CompressingSink(file, name: name, compression: compression, level: level)
        self.sink = sink
        writer = TarWriter { try sink.write($0) }
    }

    /// Adds a whole tree, as `TreePacker` would pack it alone; `options.compression` says nothing here.
    ///
    /// - Returns: paths of sockets, which tar has no form for.
    public func add(_ root: RootDirectory, options: PackOptions, cancelled: CancelFlag) throws -> [HostPath] {
        try TreeWalk(root: root, tar: writer, options: options, cancelled: cancelled).walk().skipped
    }

    /// Ends the archive; gives digest of the uncompressed bytes, digest and size of the file.
    public func finish() throws -> (plain: String, packed: String, size: Int64) {
        try writer.finish()
        return try sink.finish()
    }
}

extension TarWriter {
    /// Writes a member of another archive with its data, holes as zeros.
    public func copy(_ entry: TarEntry, from reader: TarReader) throws {
        var plain = entry
        plain.sparse = nil
        try begin(plain)
        guard entry.kind == .file else { return }
        guard let regions = entry.sparse else { return try reader.readData { try write($0) } }
        var position: Int64 = 0
        var pending = regions[...]
        var left: Int64 = 0
        try reader.readData { piece in
            var rest = piece
            while !rest.isEmpty {
                while left == 0, let region = pending.popFirst() {
                    try fill(region.offset - position)
                    (position, left) = (region.offset, region.length)
                }
                let count = Int(min(left, Int64(rest.count)))
                guard count > 0 else { return }
                try write(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                position += Int64(count)
                left -= Int64(count)
            }
        }
        try fill(entry.size - position)
    }

    private func fill(_ count: Int64) throws {
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var left = count
        while left > 0 {
            let size = Int(min(left, Int64(zeros.count)))
            try zeros.withUnsafeBytes { try write(UnsafeRawBufferPointer(rebasing: $0[..<size])) }
            left -= Int64(size)
        }
    }
}
