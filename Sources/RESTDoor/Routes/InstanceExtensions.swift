/// LXD's names of what was added to the API since 1.0 and that is true of instances here. Clients ask for them before they
/// use a thing; none stands here that is not offered.
enum InstanceExtensions {
    static let names = [
        "container_full", "container_last_used_at", "container_cpu_time", "container_host_shutdown_timeout",
        "container_image_properties", "directory_manipulation", "file_delete", "file_append", "file_symlinks",
        "file_get_symlink", "instance_file_head", "instance_get_full", "instance_nic_network", "container_disk_shift",
        "proxy_udp", "cloud_init", "api_os", "container_edit_metadata",
        "instance_bulk_state_change",
    ]
}
