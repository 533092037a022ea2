import Model

// What a disk device can be told beyond its source and path.
extension Devices {
    static func addOptions(_ reader: inout KeyReader, to disk: inout Disk) throws {
        if let text = reader.take("required") {
            guard let value = Units.bool(text) else { throw reader.error("required", text, "true or false") }
            disk.required = value
        }
        if try reader.bool("optional") { disk.required = false }
        if let text = reader.take("recursive") {
            guard let value = Units.bool(text) else { throw reader.error("recursive", text, "true or false") }
            disk.recursive = value
        }
        if let text = reader.take("propagation") {
            guard ["private", "rprivate", "slave", "rslave"].contains(text) else {
                throw reader.error("propagation", text, "private, rprivate, slave or rslave")
            }
            disk.propagation = text
        }
        disk.rate = try rate(&reader)
        _ = try reader.number("boot.priority")
    }

    /// `limits.read`, `limits.write` and `limits.max`, which is both; the path is left empty.
    static func rate(_ reader: inout KeyReader) throws -> Limits.DiskRate? {
        let most = try reader.rate("limits.max")
        let (read, write) = (try reader.rate("limits.read"), try reader.rate("limits.write"))
        let rate = Limits.DiskRate(
            path: "", readBytes: most.bytes ?? read.bytes, writeBytes: most.bytes ?? write.bytes,
            readOperations: most.operations ?? read.operations, writeOperations: most.operations ?? write.operations)
        return rate == Limits.DiskRate(path: "") ? nil : rate
    }
}

extension KeyReader {
    mutating func number(_ key: String) throws -> UInt32? {
        guard let text = take(key) else { return nil }
        guard let value = UInt32(text) else { throw error(key, text, "a number") }
        return value
    }

    /// A rate: bytes a second (`30MiB`), or operations (`20iops`).
    mutating func rate(_ key: String) throws -> (bytes: Int64?, operations: Int64?) {
        guard let text = take(key) else { return (nil, nil) }
        if text.hasSuffix("iops"), let count = Int64(text.dropLast(4)), count > 0 { return (nil, count) }
        guard let bytes = Units.bytes(text.hasSuffix("/s") ? String(text.dropLast(2)) : text), bytes > 0 else {
            throw error(key, text, "bytes a second as 30MiB, or operations as 20iops")
        }
        return (bytes, nil)
    }
}

extension Devices.Disk {
    /// Whether both show the same in the same way, whatever their rates.
    func isShownAs(_ other: Devices.Disk) -> Bool {
        var (one, two) = (self, other)
        (one.rate, two.rate) = (nil, nil)
        return one == two
    }
}
