import DriverKit
import Model

/// The configuration keys of custom volumes.
enum VolumeOptions {
    /// Checks keys and values. Errors name the key.
    static func check(_ config: [String: String], _ content: VolumeContent) throws {
        for (key, value) in config.sorted(by: { $0.key < $1.key }) where !value.isEmpty {
            let isRight: Bool
            switch key {
            case "size": isRight = (Units.bytes(value) ?? 0) > 0
            case "security.shifted", "security.unmapped", "security.shared": isRight = Units.bool(value) != nil
            case "snapshots.expiry": isRight = (try? ExpiryText(value)) != nil
            case "snapshots.pattern": isRight = (try? SnapshotPattern(value)) != nil
            case "snapshots.schedule": isRight = (try? Schedule(value)) != nil
            case let key where key.hasPrefix("user.") || key.hasPrefix("volatile."): isRight = true
            default:
                throw EngineError(
                    .invalidArgument, "unknown volume key \(Names.quoted(key))",
                    hint:
                        "keys: size, security.shifted, snapshots.expiry, snapshots.pattern, snapshots.schedule, user.*")
            }
            guard isRight else {
                throw EngineError(.invalidArgument, "\(Names.quoted(value)) is not a value of the volume key \(key)")
            }
        }
        if content == .block, config["size"] == nil || config["size"] == "" { return }
    }

    /// Bytes of `size`; a disk has one in any case.
    static func size(_ config: [String: String], _ content: VolumeContent) -> Int64? {
        if let size = config["size"].flatMap(Units.bytes) { return size }
        return content == .block ? 10 << 30 : nil
    }
}
