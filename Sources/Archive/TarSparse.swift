import LinuxHost
import Model

/// The forms in which GNU tar stores sparse files: its old header (type `S`), and pax 0.0, 0.1 and 1.0
/// (tar manual, "Storing Sparse Files").
extension TarReader {
    private static var maximumRegions: Int { 1 << 20 }

    /// Fills in map, size and name of a sparse file; what is unread are then the stored bytes alone.
    func readSparse(_ header: TarHeader, _ pax: PaxRecords, _ entry: inout TarEntry) throws {
        let map: [SparseRegion]
        let size: Int64?
        if header.type == UInt8(ascii: "S") {
            map = try readOldMap(header)
            size = header.number(483..<495)
        } else if pax.text("GNU.sparse.major") == "1" && pax.text("GNU.sparse.minor") == "0" {
            map = try readMapInData()
            size = (pax.text("GNU.sparse.realsize") ?? pax.text("GNU.sparse.size")).flatMap { Int64($0) }
        } else if let text = pax.text("GNU.sparse.map") {
            let numbers = text.split(separator: ",").map { Int64($0) ?? -1 }
            map = try regions(numbers)
            size = pax.text("GNU.sparse.size").flatMap { Int64($0) }
        } else if pax.value("GNU.sparse.numblocks") != nil {
            let keys = ["GNU.sparse.offset", "GNU.sparse.numbytes"]
            map = try regions(
                pax.list.filter { keys.contains($0.key) }.map { Int64(String(decoding: $0.value, as: UTF8.self)) ?? -1 }
            )
            size = pax.text("GNU.sparse.size").flatMap { Int64($0) }
        } else {
            return
        }
        if let name = pax.value("GNU.sparse.name"), !name.contains(0) { entry.path = HostPath(bytes: name) }
        guard let size, size >= 0, SparseRegion.check(map, size: size, stored: unread) else {
            throw damaged("the sparse map of \(entry.name) is wrong")
        }
        entry.size = size
        entry.sparse = map
    }

    private func regions(_ numbers: [Int64]) throws -> [SparseRegion] {
        guard numbers.count % 2 == 0, numbers.count / 2 <= Self.maximumRegions else {
            throw damaged("a sparse map is wrong")
        }
        return stride(from: 0, to: numbers.count, by: 2).map {
            SparseRegion(offset: numbers[$0], length: numbers[$0 + 1])
        }
    }

    /// Four regions in the header, 21 in each block that follows it.
    private func readOldMap(_ header: TarHeader) throws -> [SparseRegion] {
        var map: [SparseRegion] = []
        func add(_ block: TarHeader, at start: Int, count: Int) throws {
            for index in 0..<count {
                let position = start + index * 24
                guard block.bytes[position] != 0 else { return }
                guard let offset = block.number(position..<position + 12),
                    let length = block.number(position + 12..<position + 24)
                else { throw damaged("a sparse map is not made of numbers") }
                map.append(SparseRegion(offset: offset, length: length))
            }
        }
        try add(header, at: 386, count: 4)
        var isExtended = header.bytes[482] != 0
        while isExtended {
            guard map.count < Self.maximumRegions else { throw damaged("a sparse map is too long") }
            // These blocks are not part of the member's size.
            let block = TarHeader(bytes: try read(TarHeader.size))
            try add(block, at: 0, count: 21)
            isExtended = block.bytes[504] != 0
        }
        return map
    }

    /// Decimal numbers, one a line, in whole blocks before the stored bytes.
    private func readMapInData() throws -> [SparseRegion] {
        var buffer: [UInt8] = []
        var position = 0
        func nextNumber() throws -> Int64 {
            var value: Int64 = 0
            var digits = 0
            while true {
                if position == buffer.count {
                    buffer = try readStored(TarHeader.size)
                    position = 0
                }
                let byte = buffer[position]
                position += 1
                if byte == UInt8(ascii: "\n") && digits > 0 { return value }
                guard (48...57).contains(byte), digits < 18 else {
                    throw damaged("a sparse map is not made of numbers")
                }
                value = value * 10 + Int64(byte - 48)
                digits += 1
            }
        }
        let count = try nextNumber()
        guard count <= Self.maximumRegions else { throw damaged("a sparse map is too long") }
        return try (0..<count).map { _ in SparseRegion(offset: try nextNumber(), length: try nextNumber()) }
    }
}
