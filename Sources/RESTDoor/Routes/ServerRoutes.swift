import DriverKit
import Engine
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import Model
import WireTypes

/// `/` and `/1.0`.
struct ServerRoutes: Sendable {
    let door: DoorParts

    /// What was added to the API since LXD's 1.0 that clients look for, and Isle's own.
    static let extensions = [
        "storage", "network", "profile_description", "profile_usedby", "https_allowed_credentials",
        "certificate_update", "certificate_project", "certificate_token", "certificate_self_renewal", "projects",
        "projects_limits", "projects_limits_disk", "projects_limits_instances", "projects_restrictions",
        "projects_restricted_backups_and_snapshots", "project_usage", "network_forward", "network_acl", "network_dns",
        "warnings",
        "metrics_authentication", "etag",
        "patch", "image_create_aliases", "event_lifecycle",
        "event_lifecycle_requestor", "operation_description", "instances", "container_push", "container_exec_recording",
        "container_exec_user_group_cwd", "container_exec_signal_handling", "exec_fd", "console", "network_leases",
        "network_state", "network_nat", "network_description", "resources", "resources_v2", "container_nic_routed",
        "instance_nic_routed_neighbor_probe", "tpm_device_type", "storage_api_volume_rename",
        "container_protection_delete", "proxy", "container_local_cross_pool_handling", "instance_all_projects",
        "virtual-machines", "api_filtering", "metrics", "event_project", "operation_location", "instances_state_total",
        "container_backup", "backup_compression", "backup_compression_algorithm", "backup_override_name",
        "container_backup_override_pool", "custom_volume_backup", "snapshot_expiry", "snapshot_expiry_creation",
        "snapshot_schedule",
        "snapshot_schedule_aliases",
        "container_only_migration", "container_copy_project", "container_incremental_copy", "container_full",
        "instance_allow_inconsistent_copy", "storage_api_volume_snapshots",
        "storage_api_local_volume_handling", "storage_api_remote_volume_handling", "storage_api_project",
        "storage_volume_state", "storage_volume_project_move", "custom_volume_snapshot_expiry", "custom_block_volumes",
        "console_vga_type", "custom_volume_iso", "migration_stateful",
        "instance_pool_move", "instance_project_move", "storage_btrfs_mount_options", "storage_volatile_initial_source",
        "image_force_refresh",
        "image_compression_algorithm", "image_source_project", "image_types", "image_profiles",
        "image_copy_profile", "images_push_relay", "isle_image_commit", "isle_image_convert", "isle_image_build",
        "isle_openapi", "isle_kinds",
        "isle_attach", "isle_logs", "isle_wait", "isle_doctor",
        "isle_kernels", "isle_oci_images",
        "isle_image_history", "isle_image_prune", "isle_image_push", "isle_published_ports",
        "isle_health", "isle_container_options", "isle_networks", "isle_services",
    ]

    func add(to table: RouteTable) {
        table.add("/", [.get: { _ in try Reply.sync(["/1.0"]) }])
        table.add(
            "/1.0", [.get: { try await get($0) }, .put: { try await change($0) }, .patch: { try await change($0) }])
        table.add("/1.0/cluster", [.get: { _ in try Reply.sync(cluster) }])
    }

    private func get(_ call: Call) async throws -> Response {
        guard call.caller.isClient else {
            var server = API.ServerUntrusted()
            server.apiExtensions = Self.extensions + InstanceExtensions.names
            return try Reply.sync(server)
        }
        var server = API.Server()
        server.apiExtensions = Self.extensions + InstanceExtensions.names
        server.environment = await environment(call)
        // The settings are the administrators' affair.
        server.config = call.caller.isAdministrator ? await door.engine.settings.shown() : [:]
        return try Reply.sync(server, etag: try ETag.of(server.config))
    }

    private func change(_ call: Call) async throws -> Response {
        let put = try await call.decode(API.ServerPut.self)
        try await door.engine.settings.change(put.config, replacing: call.request.method == .put) { current in
            try call.checkPrecondition(try ETag.of(current))
        }
        return try Reply.done()
    }

    private func environment(_ call: Call) async -> API.ServerEnvironment {
        var environment = API.ServerEnvironment()
        environment.project = call.project
        environment.addresses = await door.server.addresses()
        if let certificate = door.engine.serverCertificate {
            (environment.certificate, environment.certificateFingerprint) = (certificate.pem, certificate.fingerprint)
        }
        var name = utsname()
        uname(&name)
        func text(_ field: some Any) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        environment.architectures = [text(name.machine)]
        environment.kernel = text(name.sysname)
        environment.kernelArchitecture = text(name.machine)
        environment.kernelVersion = text(name.release)
        environment.driver = door.server.driver
        environment.driverVersion = door.server.driverVersion
        environment.firewall = door.server.firewall
        let release = Self.osRelease
        environment.osName = release["NAME"] ?? ""
        environment.osVersion = release["VERSION_ID"] ?? ""
        environment.server = "isle"
        environment.serverName = door.server.name
        environment.serverPID = Int(getpid())
        environment.serverVersion = door.server.version
        environment.storage = door.server.storage
        environment.storageVersion = "1"
        var driver = API.StorageDriver()
        (driver.name, driver.version) = (door.server.storage, "1")
        environment.storageSupportedDrivers = [driver]
        environment.stateDirectory = door.engine.layout.state
        environment.instanceKinds = door.server.kinds.map(\.rawValue)
        return environment
    }

    /// os-release(5).
    private static let osRelease: [String: String] = {
        guard let data = try? Data(contentsOf: URL(filePath: "/etc/os-release")) else { return [:] }
        var values: [String: String] = [:]
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1].filter { $0 != "\"" }) }
        }
        return values
    }()

    /// One host: LXD's clients ask before they do anything.
    private var cluster: JSONValue { ["server_name": "", "enabled": false, "member_config": []] }
}
