import Model

/// A small FAT file system as cloud-init's NoCloud source expects it: volume label `CIDATA`, files in its top folder
/// (Microsoft FAT specification, FAT12 with long names).
enum SeedDisk {
    private static let sectorSize = 512
    private static let sectorsPerCluster = 4
    private static let rootEntries = 512
    private static let clusters = 4080
    /// 1.5 bytes for each cluster and the two reserved ones.
    private static let sectorsPerFAT = 12
    private static let rootSectors = rootEntries * 32 / sectorSize
    private static let dataStart = 1 + 2 * sectorsPerFAT + rootSectors

    /// The disk's bytes.
    /// - Throws: `invalidArgument` if the files do not fit into 8 MB.
    static func image(_ files: [(name: String, content: [UInt8])]) throws -> [UInt8] {
        let clusterSize = sectorSize * sectorsPerCluster
        let used = files.reduce(0) { $0 + ($1.content.count + clusterSize - 1) / clusterSize }
        guard used <= clusters else {
            throw EngineError(
                .invalidArgument, "cloud-init data of \(files.reduce(0) { $0 + $1.content.count }) bytes is too large")
        }
        var table = [UInt16](repeating: 0, count: clusters + 2)
        table[0] = 0xff8
        table[1] = 0xfff
        var root = entry(Array("CIDATA     ".utf8), attributes: 0x08, cluster: 0, size: 0)
        var data: [UInt8] = []
        var next = 2
        for (index, file) in files.enumerated() {
            let count = (file.content.count + clusterSize - 1) / clusterSize
            for cluster in 0..<count {
                table[next + cluster] = cluster == count - 1 ? 0xfff : UInt16(next + cluster + 1)
            }
            data += file.content
            data += [UInt8](repeating: 0, count: count * clusterSize - file.content.count)
            let short = Array("FILE\(index)".utf8).prefix(8)
            let name = short + [UInt8](repeating: 32, count: 11 - short.count)
            root += longName(file.name, shortName: Array(name))
            root += entry(Array(name), attributes: 0x20, cluster: count == 0 ? 0 : next, size: file.content.count)
            next += count
        }
        root += [UInt8](repeating: 0, count: rootSectors * sectorSize - root.count)
        let fat = packed(table)
        // At least a few free clusters, so that no reader takes the file system for damaged.
        let sectors = dataStart + max(used + 16, 64) * sectorsPerCluster
        var image = bootSector(sectors: sectors) + fat + fat + root + data
        image += [UInt8](repeating: 0, count: sectors * sectorSize - image.count)
        return image
    }

    private static func bootSector(sectors: Int) -> [UInt8] {
        var sector: [UInt8] = [0xeb, 0x3c, 0x90] + Array("ISLE    ".utf8)
        sector += word(sectorSize) + [UInt8(sectorsPerCluster)] + word(1) + [2] + word(rootEntries)
        sector += word(sectors) + [0xf8] + word(sectorsPerFAT) + word(32) + word(2)
        sector += [UInt8](repeating: 0, count: 8)
        sector += [0x80, 0, 0x29] + [0x15, 0x1e, 0x15, 0x1e] + Array("CIDATA     ".utf8) + Array("FAT12   ".utf8)
        sector += [UInt8](repeating: 0, count: 510 - sector.count) + [0x55, 0xaa]
        return sector
    }

    private static func packed(_ table: [UInt16]) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: table.count, by: 2) {
            let low = table[index]
            let high = index + 1 < table.count ? table[index + 1] : 0
            bytes += [
                UInt8(low & 0xff), UInt8(low >> 8) | UInt8(high & 0x0f) << 4, UInt8(high >> 4),
            ]
        }
        return bytes + [UInt8](repeating: 0, count: sectorsPerFAT * sectorSize - bytes.count)
    }

    private static func entry(_ name: [UInt8], attributes: UInt8, cluster: Int, size: Int) -> [UInt8] {
        // 1980-01-01, the earliest date that FAT knows.
        name + [attributes] + [UInt8](repeating: 0, count: 12) + [0x21, 0] + word(cluster) + word(size & 0xffff)
            + word(size >> 16)
    }

    private static func longName(_ name: String, shortName: [UInt8]) -> [UInt8] {
        let sum = shortName.reduce(UInt8(0)) { ($0 >> 1 | $0 << 7) &+ $1 }
        var units = Array(name.utf16)
        if units.count % 13 != 0 { units.append(0) }
        while units.count % 13 != 0 { units.append(0xffff) }
        let parts = units.count / 13
        var bytes: [UInt8] = []
        for part in (0..<parts).reversed() {
            let chunk = Array(units[(part * 13)..<(part * 13 + 13)])
            bytes.append(UInt8(part + 1) | (part == parts - 1 ? 0x40 : 0))
            bytes += chunk[0..<5].flatMap { word(Int($0)) } + [0x0f, 0, sum]
            bytes += chunk[5..<11].flatMap { word(Int($0)) } + [0, 0] + chunk[11..<13].flatMap { word(Int($0)) }
        }
        return bytes
    }

    private static func word(_ value: Int) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8 & 0xff)] }
}
