# ROS 2 from pip wheels: some exported targets name the Python headers of the machine that built the wheels.
# Passed as CMAKE_PROJECT_INCLUDE this points them at the headers of the Python in use; needs CMake 3.19.
# On an installed ROS 2 no path matches and nothing changes, so one build command serves both.
function(_ros_wheels_fix_imported_targets)
  get_property(_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_includes ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(_includes MATCHES "/opt/python/cp")
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
        "${Python3_INCLUDE_DIRS};${Python3_NumPy_INCLUDE_DIRS}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _ros_wheels_fix_imported_targets)
