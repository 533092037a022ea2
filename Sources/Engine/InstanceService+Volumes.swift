import DriverKit
import Logging
import Model
import StateStore

// What an instance has because its image says so: a shell, and volumes (VOLUME of a Dockerfile).
extension InstanceService {
    /// Gives the record a device for each volume of the image, and each of `more`, that no device of the user's takes the place of, and the
    /// volumes that are to be made.
    func addImageVolumes(
        _ record: inout InstanceRecord, _ image: ImageRecord, more: [String], merged: MergedConfig
    ) -> [VolumeRecord] {
        guard record.kind == .application || record.kind == .system else { return [] }
        func plain(_ path: String) -> [Substring] { path.split(separator: "/").filter { $0 != "." } }
        var taken = merged.devices.values.filter { $0["type"] == "disk" }.compactMap { $0["path"].map(plain) }
        var volumes: [VolumeRecord] = []
        for path in Set(image.config.volumes + more).sorted() {
            let names = plain(path)
            guard path.hasPrefix("/"), !names.isEmpty, !names.contains(".."), !taken.contains(names) else { continue }
            taken.append(names)
            let volume = VolumeRecord(
                project: record.project, name: VolumeService.anonymousName(),
                description: "volume \(path) of instance \(record.name)", createdAt: record.createdAt,
                madeFor: record.id)
            var device = "volume-\(volumes.count)"
            while merged.devices[device] != nil { device += "-image" }
            record.devices[device] = [
                "type": "disk", "pool": "default", "source": volume.name, "path": "/" + names.joined(separator: "/"),
            ]
            volumes.append(volume)
        }
        return volumes
    }

    /// Deletes the volumes that were made for an instance, but for those that other instances have by now.
    func deleteVolumes(of id: InstanceID) async throws {
        let own = await services.volumes.anonymous(of: id)
        guard !own.isEmpty else { return }
        let unreadable = try await parts.store.instances().unreadable.filter { $0 != id.raw }
        guard unreadable.isEmpty else {
            return parts.logger.warning(
                "volumes are kept: an instance whose record cannot be read may need them",
                metadata: ["volumes": "\(own.map(\.name))", "instances": "\(unreadable)"])
        }
        var used: Set<String> = []
        for view in await list(project: own[0].project) where view.record.id != id {
            for device in view.expanded.devices.values where device["type"] == "disk" && device["pool"] != nil {
                if let name = device["source"] { used.insert(name) }
            }
        }
        for volume in own where !used.contains(volume.name) {
            try await services.volumes.delete(volume.name, project: volume.project, pool: volume.pool)
        }
    }

    /// An application made from a userland image, without a command of its own, runs a shell with a terminal.
    func giveShell(_ record: inout InstanceRecord, _ image: ImageRecord) {
        guard record.kind == .application, image.hasInit, record.config["oci.cmd"] == nil,
            record.config["oci.entrypoint"] == nil
        else { return }
        record.config["oci.entrypoint"] = #"["/bin/sh"]"#
        record.config["oci.tty"] = "true"
        record.config["oci.stdin"] = "true"
    }
}
