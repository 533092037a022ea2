import DriverKit
import Model

/// The data that cloud-init in a guest finds on a disk labelled CIDATA (cloud-init's NoCloud data source).
enum CloudInit {
    /// The seed disk; nil if the machine's configuration has no cloud-init data. Keys as LXD's: `cloud-init.user-data`,
    /// `cloud-init.vendor-data`, `cloud-init.network-config`, and the older `user.*` forms.
    static func seed(_ plan: LaunchPlan) throws -> [UInt8]? {
        func value(_ name: String) -> String? { plan.config["cloud-init.\(name)"] ?? plan.config["user.\(name)"] }
        let names = ["user-data", "vendor-data", "network-config"]
        guard names.contains(where: { value($0) != nil }) else { return nil }
        let meta = "instance-id: \(plan.id.raw)\nlocal-hostname: \(plan.hostname)\n"
        var files: [(name: String, content: [UInt8])] = [("meta-data", Array(meta.utf8))]
        files.append(("user-data", Array((value("user-data") ?? "#cloud-config\n{}\n").utf8)))
        if let vendor = value("vendor-data") { files.append(("vendor-data", Array(vendor.utf8))) }
        if let network = value("network-config") { files.append(("network-config", Array(network.utf8))) }
        return try SeedDisk.image(files)
    }
}
