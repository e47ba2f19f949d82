# Targets rampmeter::shared and rampmeter::static. Found wherever the folder was moved to.
get_filename_component(_rampmeter_lib "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(_rampmeter_prefix "${_rampmeter_lib}/@UP@" ABSOLUTE)

if(NOT TARGET rampmeter::shared)
    add_library(rampmeter::shared SHARED IMPORTED)
    set_target_properties(rampmeter::shared PROPERTIES
        IMPORTED_LOCATION "${_rampmeter_lib}/librampmeter.so.@VERSION@"
        IMPORTED_SONAME "librampmeter.so.@VERSION@"
        INTERFACE_INCLUDE_DIRECTORIES "${_rampmeter_prefix}/include")

    add_library(rampmeter::static STATIC IMPORTED)
    set_target_properties(rampmeter::static PROPERTIES
        IMPORTED_LOCATION "${_rampmeter_lib}/librampmeter.a"
        INTERFACE_INCLUDE_DIRECTORIES "${_rampmeter_prefix}/include"
        INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,librampmeter.a"
        INTERFACE_LINK_LIBRARIES "@NATIVE@")
endif()

unset(_rampmeter_lib)
unset(_rampmeter_prefix)
