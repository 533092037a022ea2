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
        keys["volatile.base_image"] =
            record.config["volatile.base_image"] ?? record.image.map { String($0.dropFirst("sha256:".count)) }
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
        if let ids = record.mappedIDs {
            var next = ids
            next.exceptions = view.expanded.config["raw.idmap"].flatMap { try? IDException.parse($0) }
            keys["volatile.idmap.current"] = map(ids)
            keys["volatile.idmap.next"] = map(next)
            // Owners on disk are those inside: nothing was shifted.
            keys["volatile.last_state.idmap"] = "[]"
        }
        return keys
    }

    /// As LXD writes it: what maps users and groups alike in one entry.
    private static func map(_ ids: IDRange) -> String {
        let (users, groups) = (ids.extents(.user), ids.extents(.group))
        func entry(_ extent: IDRange.Extent, _ isUser: Bool, _ isGroup: Bool) -> String {
            #"{"Isuid":\#(isUser),"Isgid":\#(isGroup),"Hostid":\#(extent.outside),"Nsid":\#(extent.inside),"#
                + #""Maprange":\#(extent.count)}"#
        }
        let entries =
            users == groups
            ? users.map { entry($0, true, true) }
            : users.map { entry($0, true, false) } + groups.map { entry($0, false, true) }
        return "[" + entries.joined(separator: ",") + "]"
    }

    /// An id in the form of RFC 9562 (version 8: of our own making), the same for the life of the instance.
    static func uuid(_ id: InstanceID) -> String {
        let digits = Array(id.raw)
        let (one, two) = (String(digits[0..<8]), String(digits[8..<12]))
        return "\(one)-\(two)-8\(String(digits[12..<15]))-8\(digits[15])00-\(String(digits[4..<16]))"
    }
}
