import DriverKit
import Model

/// The data that cloud-init in a guest finds on a disk labelled CIDATA.
enum CloudInit {
    /// The seed disk; nil if the machine's configuration has no cloud-init data.
    static func seed(_ plan: LaunchPlan) throws -> [UInt8]? {
        guard let seed = CloudInitSeed(plan.config, instance: plan.id.raw, hostname: plan.hostname) else { return nil }
        return try SeedDisk.image(seed.files.map { ($0.name, $0.content) })
    }
}
