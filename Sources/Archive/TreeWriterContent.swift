import CHost
import Glibc
import LinuxHost
import Model

extension TreeWriter {
    /// Fills a new file with a member's bytes, holes where the archive has none.
    func writeFile(_ file: OwnedDescriptor, _ entry: TarEntry, from reader: TarReader) throws {
        if let map = entry.sparse {
            try writeSparse(file, entry, map, from: reader)
        } else {
            try reader.readData { try write($0, to: file, at: nil, of: entry) }
        }
        try finishFile(file, entry)
    }

    private func writeSparse(
        _ file: OwnedDescriptor, _ entry: TarEntry, _ map: [SparseRegion], from reader: TarReader
    ) throws {
        let sized = isle_ftruncate(file.raw, entry.size)
        guard sized == 0 else { throw failure(-sized, entry) }
        var index = 0
        var done: Int64 = 0
        try reader.readData { piece in
            var piece = piece
            // The map was checked to have as many bytes as are stored.
            while !piece.isEmpty, index < map.count {
                let count = Int(min(Int64(piece.count), map[index].length - done))
                try write(
                    UnsafeRawBufferPointer(rebasing: piece[..<count]), to: file, at: map[index].offset + done, of: entry
                )
                piece = UnsafeRawBufferPointer(rebasing: piece[count...])
                done += Int64(count)
                if done == map[index].length { (index, done) = (index + 1, 0) }
            }
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to file: OwnedDescriptor, at offset: Int64?, of entry: TarEntry)
        throws
    {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count =
                if let offset {
                    isle_pwrite(file.raw, rest.baseAddress, rest.count, offset + Int64(written))
                } else {
                    Glibc.write(file.raw, rest.baseAddress, rest.count)
                }
            guard count >= 0 else {
                let number = offset == nil ? errno : Int32(-count)
                if number == EINTR { continue }
                throw failure(number, entry)
            }
            written += count
        }
    }

    private func failure(_ number: Int32, _ entry: TarEntry) -> EngineError {
        .system(number, "write \(root.path)/\(entry.path.text)")
    }
}
