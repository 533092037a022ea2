import DriverKit
import Engine
import Model
import WireTypes

/// Keys that LXD keeps about an instance among its configuration, worked out from what Isle knows. They are shown and
/// not taken back.
enum InstanceVolatile {
    static func keys(_ view: InstanceView) -> [String: String] {
        let record = view.record
        var keys: [String: String] = [:]
        if let image = record.image { keys["volatile.base_image"] = String(image.dropFirst("sha256:".count)) }
        keys["volatile.uuid"] = uuid(record.id)
        keys["volatile.uuid.generation"] = uuid(record.id)
        keys["volatile.cloud-init.instance-id"] = uuid(record.id)
        keys["volatile.apply_template"] = record.templatesDue
        if record.lastUsedAt > 0 {
            keys["volatile.last_state.power"] = view.pid == nil ? "STOPPED" : "RUNNING"
        }
        for endpoint in view.endpoints {
            let device =
                view.expanded.devices.first {
                    $0.value["type"] == "nic" && ($0.value["name"] ?? $0.key) == endpoint.device
                }?
                .key ?? endpoint.device
            // Only where it was looked up.
            if let end = view.hostEnds[endpoint.device] { keys["volatile.\(device).host_name"] = end.name }
            if view.expanded.devices[device]?["hwaddr"] == nil { keys["volatile.\(device).hwaddr"] = endpoint.mac }
        }
        if let base = record.config["volatile.idmap.base"].flatMap({ UInt32($0) }) {
            let map = #"[{"Isuid":true,"Isgid":true,"Hostid":\#(base),"Nsid":0,"Maprange":65536}]"#
            keys["volatile.idmap.current"] = map
            keys["volatile.idmap.next"] = map
            // Owners on disk are those inside: nothing was shifted.
            keys["volatile.last_state.idmap"] = "[]"
        }
        return keys
    }

    /// An id in the form of RFC 9562 (version 8: of our own making), the same for the life of the instance.
    static func uuid(_ id: InstanceID) -> String {
        let digits = Array(id.raw)
        let (one, two) = (String(digits[0..<8]), String(digits[8..<12]))
        return "\(one)-\(two)-8\(String(digits[12..<15]))-8\(digits[15])00-\(String(digits[4..<16]))"
    }
}
