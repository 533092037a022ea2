/// Writes streams as btrfs-send(8) does, and as it never would (linux/fs/btrfs/send.h).
struct ForgedStream {
    private(set) var bytes: [UInt8] = Array("btrfs-stream\0".utf8) + [1, 0, 0, 0]

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
    }

    /// CRC-32C that begins with 0 and is not inverted.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        bytes.reduce(0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }

    private static func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private mutating func command(_ number: UInt16, _ attributes: [(UInt16, [UInt8])]) {
        let body = attributes.flatMap { Self.little($0.0) + Self.little(UInt16($0.1.count)) + $0.1 }
        let head = Self.little(UInt32(body.count)) + Self.little(number)
        bytes += head + Self.little(Self.checksum(head + [0, 0, 0, 0] + body)) + body
    }

    mutating func subvolume(_ path: String) {
        command(
            1,
            [(15, Array(path.utf8)), (1, (0..<16).map { _ in UInt8.random(in: 0...255) }), (2, Self.little(UInt64(7)))])
    }

    mutating func file(_ path: String, _ content: String) {
        command(3, [(15, Array(path.utf8)), (3, Self.little(UInt64(300)))])
        write(path, content)
    }

    mutating func write(_ path: String, _ content: String) {
        command(15, [(15, Array(path.utf8)), (18, Self.little(UInt64(0))), (19, Array(content.utf8))])
    }

    mutating func folder(_ path: String) { command(4, [(15, Array(path.utf8)), (3, Self.little(UInt64(301)))]) }

    mutating func symbolicLink(_ path: String, to target: String) {
        command(8, [(15, Array(path.utf8)), (3, Self.little(UInt64(302))), (17, Array(target.utf8))])
    }

    mutating func rename(_ path: String, to target: String) {
        command(9, [(15, Array(path.utf8)), (16, Array(target.utf8))])
    }

    mutating func hardLink(_ path: String, to target: String) {
        command(10, [(15, Array(path.utf8)), (17, Array(target.utf8))])
    }

    mutating func remove(_ path: String) { command(11, [(15, Array(path.utf8))]) }

    mutating func setPermissions(_ path: String, _ mode: UInt64) {
        command(18, [(15, Array(path.utf8)), (5, Self.little(mode))])
    }

    mutating func end() { command(21, []) }
}
